"""What the scanner knows of clean and backdoored models, learned on the development zoo alone.

    python -m benchmarks.zoo calibrate --folder ZOO     measure what is missing, learn, write the shipped table

Every development model is measured once and kept as a line of `results/scanner-statistics-dev.jsonl`. From these
lines come the weights of the fusion, learned from clean and poisoned models, and the table of clean references.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from benchmarks.zoo.cards import Card, cards, load
from phosphene.scanner import Settings, measure
from phosphene.scanner.calibration import SHIPPED, Reference, Row, Weights
from phosphene.scanner.fusion import LARGEST, fused, outlying

NAME = "shipped: clean models of the development zoo"
COMMAND = "python -m benchmarks.zoo calibrate"
FACTS = ("name", "split", "domain", "architecture", "attack", "kind", "target", "stratum", "poisoned", "adversarial")
RIDGE = 0.02  # pull of the weights towards 0, a model
STEPS, RATE = 400, 0.02
FOLDS = 10

Line = Mapping[str, Any]


def line_of(card: Card, row: Row, **more: object) -> dict[str, Any]:
    """What is true of a model beside what was measured of it."""
    return {fact: getattr(card, fact) for fact in FACTS} | {"row": row.to_json()} | more


def append(path: Path, line: Line) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, separators=(",", ":")) + "\n")


def kept(path: Path) -> list[dict[str, Any]]:
    """The lines of a file, the last one of each model; a line that an interruption cut is left out."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    whole = [json.loads(line) for line in lines if line.endswith("}")]
    return list({record["row"]["fingerprint"]: record for record in whole}.values())


def measure_missing(folder: Path, path: Path, limit: int | None = None) -> None:
    """One line a development model that has none yet, measured on one thread."""
    torch.set_num_threads(1)
    done = {line["row"]["fingerprint"] for line in kept(path)}
    missing = [card for card in cards(folder, "dev") if card.fingerprint not in done]
    for number, card in enumerate(islice(missing, limit), start=1):
        started = time.process_time()
        row = measure(load(card))
        seconds = round(time.process_time() - started, 2)
        append(path, line_of(card, row, seconds=seconds))
        print(f"{number}/{len(missing)} {card.name}: {seconds} s", flush=True)


def reference(lines: Sequence[Line], weights: Weights) -> Reference:
    """The table of the clean models among the lines."""
    rows = tuple(Row.from_json(line["row"]) for line in lines if not line["poisoned"])
    settings = Settings().to_json()
    return Reference(NAME, COMMAND, settings, weights, rows)


def learned(lines: Sequence[Line], ridge: float = RIDGE) -> Weights:
    """Weights ≥ 0 under which the target's score of a poisoned model exceeds the largest score of clean models.

    Logistic loss with clean and poisoned models counted alike. A poisoned model is represented by its target's
    statistics, so that nothing is learned from a wrong class; models without one target by their largest class.
    """
    table = reference(lines, Weights())
    classes = sorted({name for line in lines for name in line["row"]["classes"]})
    whole = sorted({name for line in lines for name in line["row"]["whole"]})
    cases = [_case(line, table, classes, whole) for line in lines if line["stratum"] != "weak"]
    poisoned = torch.tensor([case[2] for case in cases])
    balance = torch.where(poisoned, 0.5 / poisoned.sum(), 0.5 / (~poisoned).sum())
    raw = torch.full((len(classes) + len(whole),), 0.1, requires_grad=True)
    offset = torch.tensor(1.0, requires_grad=True)
    adam = torch.optim.Adam([raw, offset], lr=RATE)
    for _ in range(STEPS):
        adam.zero_grad()
        weights = raw.clamp(min=0)
        scores = torch.stack([score(weights[: len(classes)], weights[len(classes) :], case) for case in cases])
        margins = torch.where(poisoned, 1.0, -1.0) * (scores - offset)
        loss = (F.softplus(-margins) * balance).sum() + ridge * weights.square().sum()
        loss.backward()
        adam.step()
        with torch.no_grad():
            raw.clamp_(min=0)
    found = [round(float(value), 4) for value in raw]
    return Weights(dict(zip(classes, found, strict=False)), dict(zip(whole, found[len(classes) :], strict=True)))


Case = tuple[Tensor, Tensor, bool]  # outliers of the classes that count (classes, statistics), of the whole; poisoned


def _case(line: Line, table: Reference, classes: Sequence[str], whole: Sequence[str]) -> Case:
    row = Row.from_json(line["row"])
    zero = (0.0,) * row.outputs
    outliers = torch.tensor([
        outlying(row.classes[name], table.spread[name]) if name in row.classes else zero for name in classes
    ]).T  # fmt: skip
    if line["poisoned"] and line["target"] is not None:
        outliers = outliers[line["target"]][None]
    levels = [_deviation(row, table, name) for name in whole]
    return outliers.float(), torch.tensor(levels), bool(line["poisoned"])


def _deviation(row: Row, table: Reference, name: str) -> float:
    middle, deviation = table.level[name]
    value = row.whole.get(name, math.nan)
    return max(0.0, min(LARGEST, (value - middle) / deviation)) if math.isfinite(value) else 0.0


def score(classes: Tensor, whole: Tensor, case: Case) -> Tensor:
    """As `phosphene.scanner.fusion` computes it: the best class, and what the model shows as a whole."""
    return (case[0] @ classes).max() + (case[1] @ whole).sum()


def held_out_scores(lines: Sequence[Line], folds: int = FOLDS) -> NDArray[np.float64]:
    """Scores of all lines under weights that were learned without them: what learning on them flatters."""
    scores = np.empty(len(lines))
    order = np.random.default_rng(0).permutation(len(lines))
    for fold in range(folds):
        out = set(order[fold::folds].tolist())
        known = [line for place, line in enumerate(lines) if place not in out]
        table = reference(known, learned(known))
        for place in out:
            scores[place] = fused(Row.from_json(lines[place]["row"]), table).score
    return scores


def calibrate(folder: Path, path: Path, limit: int | None = None) -> str:
    """Measure, learn and write the shipped table; says what came of it."""
    measure_missing(folder, path, limit)
    lines = kept(path)
    table = reference(lines, learned(lines))
    table.save(SHIPPED)
    return f"{len(table.rows)} clean references of {len(lines)} models; weights {table.weights}"
