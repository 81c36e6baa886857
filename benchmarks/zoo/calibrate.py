"""What the scanner knows of clean and backdoored models, learned on the development zoo alone.

    python -m benchmarks.zoo calibrate --folder ZOO     measure what is missing, learn, write the shipped table

Every development model is measured once and kept as a line of `results/scanner-statistics-dev.jsonl`. From these
lines come the weights of the fusion, learned from clean and poisoned models, and the table of clean references.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.record import write_result
from benchmarks.zoo.cards import Card, cards, load
from phosphene.scanner import Settings, measure
from phosphene.scanner.calibration import SHIPPED, Reference, Row, Weights
from phosphene.scanner.fusion import Pool

NAME = "shipped: clean models of the development zoo"
COMMAND = "python -m benchmarks.zoo calibrate"
FACTS = ("name", "split", "domain", "architecture", "attack", "kind", "target", "stratum", "poisoned", "adversarial")
RIDGE, SHRINK = 0.2, 0.3  # pull of the weights towards their mean, and of it towards 0
STEPS, RATE = 300, 0.03
NUISANCE = ("level additive", "level colour", "level patch", "level warp")  # tell architectures apart, not backdoors
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
    return Reference(NAME, COMMAND, Settings().to_json(), weights, rows)


@dataclass(frozen=True)
class Cases:
    """Models as tensors: surprises `(models, classes, statistics)`, which classes count, surprises of the whole."""

    surprises: Tensor
    counts: Tensor
    whole: Tensor
    poisoned: Tensor

    @staticmethod
    def of(lines: Sequence[Line], classes: Sequence[str], whole: Sequence[str]) -> Cases:
        """Every model against the clean ones of the lines, itself left out."""
        table = reference(lines, Weights())
        rows = [Row.from_json(line["row"]) for line in lines]
        surprises = torch.zeros(len(rows), max(row.outputs for row in rows), len(classes))
        counts, wholes = torch.zeros(surprises.shape[:2], dtype=torch.bool), torch.zeros(len(rows), len(whole))
        for place, (line, row) in enumerate(zip(lines, rows, strict=True)):
            others = table.without(row.fingerprint).rows
            pool = Pool((*others, row))
            surprises[place, : row.outputs] = torch.from_numpy(pool.surprises(len(others), classes))
            wholes[place] = torch.from_numpy(pool.surprises_whole(len(others), whole))
            one = line["target"] if line["poisoned"] else None
            counts[place, slice(row.outputs) if one is None else one] = True
        return Cases(surprises, counts, wholes, torch.tensor([bool(line["poisoned"]) for line in lines]))

    def scores(self, classes: Tensor, whole: Tensor) -> Tensor:
        """As `phosphene.scanner.fusion` computes them: the best class, and what the model shows as a whole."""
        best = (self.surprises @ classes).masked_fill(~self.counts, -1e9).max(dim=1).values
        return best + self.whole @ whole


def learned(lines: Sequence[Line], ridge: float = RIDGE) -> Weights:
    """Weights ≥ 0 under which the target's score of a poisoned model exceeds the largest score of clean models.

    Logistic loss with clean and poisoned models counted alike, and a pull of the weights towards their mean. A poisoned
    model is represented by its target's surprises, so that nothing is learned from a wrong class; models without one
    target by their largest class.
    """
    used = [line for line in lines if line["stratum"] != "weak"]
    classes = sorted({name for line in used for name in line["row"]["classes"]})
    whole = [name for name in sorted({name for line in used for name in line["row"]["whole"]}) if name not in NUISANCE]
    cases = Cases.of(used, classes, whole)
    balance = torch.where(cases.poisoned, 0.5 / cases.poisoned.sum(), 0.5 / (~cases.poisoned).sum())
    sign = torch.where(cases.poisoned, 1.0, -1.0)
    weights = torch.full((len(classes) + len(whole),), 0.2, requires_grad=True)
    offset = torch.tensor(1.0, requires_grad=True)
    adam = torch.optim.Adam([weights, offset], lr=RATE)
    for _ in range(STEPS):
        adam.zero_grad()
        margins = sign * (cases.scores(weights[: len(classes)], weights[len(classes) :]) - offset)
        pull = (weights - weights.mean().detach()).square().sum() + SHRINK * weights.square().sum()
        loss = (F.softplus(-margins) * balance).sum() + ridge * pull
        loss.backward()
        adam.step()
        with torch.no_grad():
            weights.clamp_(min=0)
    found = [round(value, 4) for value in weights.tolist()]
    return Weights(dict(zip(classes, found, strict=False)), dict(zip(whole, found[len(classes) :], strict=True)))


def held_out_scores(lines: Sequence[Line], ridge: float = RIDGE, folds: int = FOLDS) -> tuple[list[float], list[int]]:
    """Score and first class of every line under weights that were learned without it: what learning flatters."""
    scores, first = [0.0] * len(lines), [0] * len(lines)
    order = np.random.default_rng(0).permutation(len(lines))
    for fold in range(folds):
        out = set(order[fold::folds].tolist())
        known = [line for place, line in enumerate(lines) if place not in out]
        table = reference(known, learned(known, ridge))
        for place in out:
            pool = Pool((*table.rows, Row.from_json(lines[place]["row"])))
            classes, addition = pool.scores(len(table.rows), table.weights)
            scores[place], first[place] = float(classes.max()) + addition, int(classes.argmax())
    return scores, first


def flattered(lines: Sequence[Line]) -> list[dict[str, str]]:
    """AUC and detections at 5% false alarms on the development split: as learned, and with each model held out."""
    table = reference(lines, learned(lines))
    pools = [Pool((*table.without(line["row"]["fingerprint"]).rows, Row.from_json(line["row"]))) for line in lines]
    learnt = [pool.scores(len(pool.rows) - 1, table.weights) for pool in pools]
    shown = [float(classes.max()) + addition for classes, addition in learnt]
    held, first = held_out_scores(lines)
    return [_quality("learned on all", lines, shown, [int(classes.argmax()) for classes, _ in learnt]),
            _quality("each model held out", lines, held, first)]  # fmt: skip


def _quality(title: str, lines: Sequence[Line], scores: Sequence[float], first: Sequence[int]) -> dict[str, str]:
    from benchmarks.scoring.statistics import area_interval

    clean = [score for line, score in zip(lines, scores, strict=True) if not line["poisoned"]]
    strong = [place for place, line in enumerate(lines) if line["poisoned"] and line["stratum"] == "main"]
    bound = float(np.quantile(clean, 0.95))
    found = [place for place in strong if scores[place] > bound]
    named = [place for place in found if lines[place]["target"] is not None]
    right = sum(first[place] == lines[place]["target"] for place in named)
    return {
        "weights": title, "clean": str(len(clean)), "poisoned": str(len(strong)),
        "AUC": str(area_interval(clean, [scores[place] for place in strong])),
        "detected at 5% false alarms": f"{len(found)} of {len(strong)}", "target named": f"{right} of {len(named)}",
    }  # fmt: skip


def calibrate(folder: Path, path: Path, limit: int | None = None) -> str:
    """Measure, learn and write the shipped table; says what came of it."""
    measure_missing(folder, path, limit)
    lines = kept(path)
    table = reference(lines, learned(lines))
    table.save(SHIPPED)
    settings = {"models": len(lines), "ridge": RIDGE, "folds": FOLDS}
    write_result("scanner-dev-held-out", COMMAND, settings, flattered(lines))
    return f"{len(table.rows)} clean references of {len(lines)} models; weights {table.weights}"
