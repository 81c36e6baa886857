"""What a clean base adds to a scan: twins trained on from clean zoo models, and strangers of the same architecture.

    python -m benchmarks.against train        train the twins that are missing; can be stopped and started again
    python -m benchmarks.against measure      measure the statistics of twins that have none yet; as well
    python -m benchmarks.against judge        judge what was measured, and write the tables; nothing is trained

`benchmarks/against_twins.py` makes the twins. Strangers are the models of the test split, each against one clean model
of the test split with the same architecture and domain, from the kept statistics of `python -m benchmarks.scanner`. The
last table is of the p-value without references: the differences of models with 43 classes as each other's controls.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.against_twins import measure_missing, read_kept, train_missing
from benchmarks.record import RESULTS, markdown, write_result
from benchmarks.scoring.statistics import rate
from benchmarks.zoo.calibrate import Line, read_lines
from phosphene.scanner.against.base import Base
from phosphene.scanner.against.differences import subtract, undo_logarithms
from phosphene.scanner.against.judging import FEWEST
from phosphene.scanner.judging import judge as judge_row
from phosphene.scanner.own_classes import Controls, compare_own_classes
from phosphene.scanner.reference import Reference, Row, load_shipped
from phosphene.scanner.settings import Settings
from phosphene.scanner.statistics.registry import collect_roles

KEPT = RESULTS / "against-statistics.jsonl"
LEVELS = (0.05, 0.01)
TWIN_LEVELS = (0.05, 0.0101)  # a base that is a reference is taken out, and of 99 the smallest p-value is 0.01005
SIMULATED, REPEATS = (20, 43, 100, 1000), 1000


@dataclass(frozen=True)
class Outcome:
    """p-values of one model: without a base, of the differences alone, and of both; and the class that each names."""

    kind: str
    truth: int | None
    alone: float
    differences: float | None
    both: float
    named_alone: int
    named: int


def judge(line: Line, base: Line, table: Reference) -> Outcome:
    """As a scan with `--against` judges, from kept statistics."""
    row, other = Row.from_json(line["row"]), Row.from_json(base["row"])
    others = table.without(row.fingerprint).without(other.fingerprint)
    settings = Settings()
    known = Base(other, (), (row.channels, row.size, row.size), settings, "scan")
    alone, beside = judge_row(row, others, settings), judge_row(row, others, settings, known)
    differences = None if beside.against is None else beside.against.p_value
    first, second = (int(np.argmax(one.fused.scores)) for one in (alone, beside))
    return Outcome(line["kind"], line["target"], alone.p_value, differences, beside.p_value, first, second)


def judge_twins(table: Reference) -> list[Outcome]:
    bases = {line["row"]["name"]: line for line in read_lines(RESULTS / "scanner-statistics-dev.jsonl")}
    return [judge(line, bases[line["base"]], table) for line in read_kept(KEPT).values()]


def judge_strangers(table: Reference) -> list[Outcome]:
    """Each test model whose trigger works, or that is clean, against a clean one of its domain and architecture."""
    lines = read_lines(RESULTS / "scanner-statistics-test.jsonl")
    found = []
    for number, line in enumerate(lines):
        alike = [
            other for other in lines if other is not line and not other["poisoned"] and _task(other) == _task(line)
        ]
        if alike and line["stratum"] in ("main", "clean"):
            found.append(judge(line, Random(number).choice(alike), table))
    return found


def _task(line: Line) -> tuple[str, str]:
    return line["domain"], line["architecture"]


def tabulate(outcomes: Sequence[Outcome], levels: Sequence[float] = LEVELS) -> list[dict[str, str]]:
    """Clean models first: a line a kind, then all backdoored ones, then each kind of those."""
    clean = [one for one in outcomes if one.truth is None and one.kind in CLEAN_KINDS]
    planted = [one for one in outcomes if one not in clean]
    groups = [("clean", clean), *((f"clean: {kind}", several) for kind, several in _by_kind(clean))]
    groups += [("backdoored", planted), *_by_kind(planted)]
    rows = [_count(title, several, levels) for title, several in groups]
    return [row for row in rows if row["models"] != "0"]


CLEAN_KINDS = ("none", "clean", "imbalance", "decoy")


def _by_kind(outcomes: Sequence[Outcome]) -> Iterator[tuple[str, list[Outcome]]]:
    for kind in sorted({one.kind for one in outcomes}):
        yield kind, [one for one in outcomes if one.kind == kind]


def _count(title: str, outcomes: Sequence[Outcome], levels: Sequence[float]) -> dict[str, str]:
    row = {"models": str(len(outcomes)), "kind": title}
    columns: dict[str, Callable[[Outcome], float | None]] = {
        "alone": lambda one: one.alone,
        "differences": lambda one: one.differences,
        "with the base": lambda one: one.both,
    }
    for name, get in columns.items():
        values = [get(one) for one in outcomes]
        for level in levels:
            row[f"{name}, p ≤ {level:g}"] = _rate(values, level)
    named = [one.named == one.truth for one in outcomes if one.truth is not None and one.both <= levels[0]]
    row["target named"] = f"{sum(named)} of {len(named)}" if named else "–"
    return {"kind": row.pop("kind"), **row}


def _rate(values: Sequence[float | None], level: float) -> str:
    known = [value for value in values if value is not None]
    return str(rate(sum(value <= level for value in known), len(known))) if known else "–"


def judge_by_tail() -> list[dict[str, str]]:
    """Every pair of a model with 43 classes and a clean one of its architecture, without references."""
    lines = [
        *read_lines(RESULTS / "scanner-statistics-dev.jsonl"),
        *read_lines(RESULTS / "scanner-statistics-test.jsonl"),
    ]
    lines = [line for line in lines if line["domain"] == "signs43" and line["stratum"] in ("main", "clean")]
    rows = []
    for title, poisoned in (("clean", False), ("backdoored", True)):
        values, right = [], 0
        pairs = [(line, base) for line in lines for base in lines if line["poisoned"] is poisoned
                 and line is not base and not base["poisoned"] and _task(line) == _task(base)]  # fmt: skip
        for line, base in pairs:
            found = compare(subtract(*(undo_logarithms(Row.from_json(one["row"])) for one in (line, base))))
            values.append(found.p_value)
            right += int(np.argmax(found.scores)) == line["target"]
        shares = {f"p ≤ {level:g}": f"{np.mean(np.array(values) <= level):.3f}" for level in LEVELS}
        largest = f"{right} of {len(pairs)}" if poisoned else "–"
        models = len({line["row"]["fingerprint"] for line, _ in pairs})
        rows.append({"pairs": f"{len(pairs)} {title}, of {models} models", **shares, "largest is the target": largest})
    return rows


def compare(difference: Row) -> Controls:
    found = compare_own_classes(difference, fewest=FEWEST)
    if found is None:
        raise ValueError(f"{difference.name} has too few classes")
    return found


def simulate_tail() -> list[dict[str, str]]:
    """False alarms at both levels where classes' differences are independent draws of one distribution; in the last
    row each class has a spread of its own, the same in all columns."""
    random, rows = np.random.default_rng(0), []
    draws: dict[str, Callable[[tuple[int, int]], Any]] = {
        "normal": lambda shape: random.normal(size=shape),
        "exponential": lambda shape: random.exponential(size=shape),
        "Student's t, 8 degrees": lambda shape: random.standard_t(8, size=shape),
        "Student's t, 4 degrees": lambda shape: random.standard_t(4, size=shape),
        "normal, classes of uneven spread": lambda shape: (
            random.normal(size=shape) * np.exp(0.5 * random.normal(size=(shape[0], 1)))
        ),
    }
    columns = sorted(collect_roles().of_classes)
    for name, draw in draws.items():
        line = {"differences": name}
        for count in SIMULATED:
            values = np.array([_judge_drawn(draw((count, len(columns))), columns) for _ in range(REPEATS)])
            line[f"K = {count}"] = " / ".join(f"{np.mean(values <= level):.3f}" for level in LEVELS)
        rows.append(line)
    return rows


def _judge_drawn(values: NDArray[np.float64], columns: Sequence[str]) -> float:
    classes = {name: tuple(column.tolist()) for name, column in zip(columns, values.T, strict=True)}
    return compare(Row("drawn", "", len(values), 32, 3, classes, {})).p_value


def write_tables() -> Iterator[str]:
    table = load_shipped()
    made = {
        "twins": tabulate(judge_twins(table), TWIN_LEVELS),
        "strangers": tabulate(judge_strangers(table)),
        "tail": judge_by_tail(),
        "simulated": simulate_tail(),
    }
    for name, rows in made.items():
        write_result(f"against-{name}", "python -m benchmarks.against judge", {"references": len(table.rows)}, rows)
        yield f"{name}\n{markdown(rows)}\n"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("train", "measure", "judge"))
    parser.add_argument("--folder", type=Path, default=RESULTS / "against", help="folder for the weights of the twins")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    run: Mapping[str, Callable[[], Iterable[str]]] = {
        "train": lambda: train_missing(options.folder),
        "measure": lambda: measure_missing(options.folder, KEPT),
        "judge": write_tables,
    }
    for line in run[options.command]():
        print(line, flush=True)


if __name__ == "__main__":
    main()
