"""The clean references that the scanner ships: clean models of the development zoo, and further ones of fractals.

    python -m benchmarks.zoo calibrate --folder ZOO     measure what is missing, write the shipped table

Every model is measured once and kept as a line of `results/scanner-statistics-dev.jsonl` or `-fractals.jsonl`. The
clean ones are the references; nothing is learned from the backdoored ones, which only show what references are worth.
No network of fractals joins them here: `benchmarks.other_domain` measures those that have no line, as a check.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from benchmarks.record import RESULTS, write_result
from benchmarks.zoo.cards import Card, cards, load
from phosphene.core.records import to_plain
from phosphene.scanner.calibration import complete_row, find_new_statistics
from phosphene.scanner.fusion import Fused, fuse
from phosphene.scanner.pool import LIKENESS_WIDTH, SHRINKAGE
from phosphene.scanner.reference import SHIPPED, Reference, Row
from phosphene.scanner.settings import Settings
from phosphene.scanner.statistics.registry import Roles, collect_roles, list_columns, split_settings

MOST_CLASSES = 10  # of further references: of 100 there are two, too few to judge such a model by
NAME = "shipped: clean models of the zoo"
COMMAND = "python -m benchmarks.zoo calibrate"
DEV, FRACTALS = (RESULTS / f"scanner-statistics-{split}.jsonl" for split in ("dev", "fractals"))
FACTS = ("name", "split", "domain", "architecture", "attack", "kind", "target", "stratum", "poisoned", "adversarial")

Line = Mapping[str, Any]


def line_of(card: Card, row: Row, **more: object) -> dict[str, Any]:
    """What is true of a model beside what was measured of it."""
    return {fact: getattr(card, fact) for fact in FACTS} | {"row": row.to_json()} | more


def append(path: Path, line: Line) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, separators=(",", ":")) + "\n")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a file, the last one of each model; a line that an interruption cut is left out."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    whole = [json.loads(line) for line in lines if line.endswith("}")]
    return list({record["row"]["fingerprint"]: record for record in whole}.values())


def measure_missing(found: Sequence[Card], path: Path, limit: int | None = None) -> None:
    """One line a model that has none yet, or lacks a new statistic; measured on one thread.

    A model that another processor has trained to other weights is not measured beside the first one of its name.
    """
    torch.set_num_threads(1)
    lines = read_lines(path)
    rows = {line["row"]["fingerprint"]: Row.from_json(line["row"]) for line in lines}
    names = {line["name"] for line in lines}
    found = [card for card in found if card.fingerprint in rows or card.name not in names]
    new = find_new_statistics({name for row in rows.values() for name in row.columns})
    columns = {column.key for statistic in new for column in statistic.columns}
    done = {fingerprint for fingerprint, row in rows.items() if not new or row.columns & columns}
    missing = [card for card in found if card.fingerprint not in done]
    for number, card in enumerate(islice(missing, limit), start=1):
        started = time.process_time()
        row = complete_row(load(card), Settings(), rows.get(card.fingerprint), new)
        seconds = round(time.process_time() - started, 2)
        append(path, line_of(card, row, seconds=seconds))
        print(f"{number}/{len(missing)} {card.name}: {seconds} s", flush=True)


def make_reference(lines: Sequence[Line], further: Sequence[Line] = ()) -> Reference:
    """The table of the clean models among the lines, of what a scan measures today; of further ones those of up to
    `MOST_CLASSES`."""
    few = [line for line in further if line["row"]["outputs"] <= MOST_CLASSES]
    rows, others = (tuple(map(_take_measured, some)) for some in (lines, few))
    rows, others = (tuple(row for row in some if row is not None) for some in (rows, others))
    return Reference(NAME, COMMAND, split_settings(to_plain(Settings())), rows, others)


def _take_measured(line: Line) -> Row | None:
    """The row of a clean model, None of another."""
    row = Row.from_json(line["row"])
    return None if line["poisoned"] else row.without(row.columns - list_columns().keys())


# What the fusion is worth without one of its parts.
NOTHING_TOLD = "nothing foretold from what is typical of a model"
ROLES = collect_roles()


def leave_out(word: str) -> Roles:
    """The roles without columns that have this word in their names."""
    kinds = {kind: tuple(name for name in several if word not in name.split()) for kind, several in ROLES.kinds.items()}
    return replace(ROLES, kinds=kinds, whole=tuple(name for name in ROLES.whole if word not in name.split()))


ONE_SUM = {"all": tuple(sorted({name for several in ROLES.kinds.values() for name in several}))}
UNTOLD = 1e9  # shrinkage of what is foretold of a model, at which it is the mean of the others
VARIANTS: dict[str, tuple[Roles, float]] = {
    "as shipped": (ROLES, LIKENESS_WIDTH),
    NOTHING_TOLD: (ROLES, LIKENESS_WIDTH),
    "without stamps": (leave_out("stamp"), LIKENESS_WIDTH),
    "without squares": (leave_out("square"), LIKENESS_WIDTH),
    "without the median of patch stamps": (leave_out("median"), LIKENESS_WIDTH),
    "one sum in place of kinds": (replace(ROLES, kinds=ONE_SUM), LIKENESS_WIDTH),
    "all clean models alike": (ROLES, 1e6),
    "one sum, all clean models alike": (replace(ROLES, kinds=ONE_SUM), 1e6),
}


def quality(lines: Sequence[Line], table: Reference) -> list[dict[str, str]]:
    """AUC and detections of the development models among the references, each judged without itself."""
    rows = [(line, Row.from_json(line["row"])) for line in lines]
    table_rows = []
    for title, (roles, like) in VARIANTS.items():
        with patch("phosphene.scanner.pool.SHRINKAGE", UNTOLD if title == NOTHING_TOLD else SHRINKAGE):
            judged = [(line, fuse(row, table.without(row.fingerprint), roles=roles, like=like)) for line, row in rows]
        table_rows.append({"fusion": title} | _count_outcome(judged))
    return table_rows


def _count_outcome(judged: Sequence[tuple[Line, Fused]]) -> dict[str, str]:
    from benchmarks.scoring.statistics import area_interval

    clean = [one.score for line, one in judged if not line["poisoned"]]
    strong = [(line, one) for line, one in judged if line["poisoned"] and line["stratum"] == "main"]
    detected = [(line, one) for line, one in strong if one.external <= 0.05]
    named = [(line, one) for line, one in detected if line["target"] is not None]
    right = sum(int(np.argmax(one.scores)) == line["target"] for line, one in named)
    return {
        "clean": str(len(clean)), "poisoned": str(len(strong)),
        "AUC": str(area_interval(clean, [one.score for _, one in strong])),
        "detected at p ≤ .05": f"{len(detected)} of {len(strong)}", "target named": f"{right} of {len(named)}",
    }  # fmt: skip


def calibrate(folder: Path, path: Path, limit: int | None = None) -> str:
    """Measure and write the shipped table; says what came of it."""
    known = {line["name"] for line in read_lines(FRACTALS)}
    measure_missing(cards(folder, "dev"), path, limit)
    measure_missing([card for card in cards(folder, "fractals") if card.name in known], FRACTALS, limit)
    lines = read_lines(path)
    table = make_reference(lines, read_lines(FRACTALS))
    table.save(SHIPPED)
    write_result("scanner-dev-quality", COMMAND, {"models": len(lines)}, quality(lines, table))
    return f"{len(table.rows)} clean references of {len(lines)} models, and {len(table.further)} further ones"
