"""What does it cost to measure the later statistics only where the first ones leave something open?

    python -m benchmarks.stop_early            every kept statistic, judged whole and by the first statistics
    python -m benchmarks.stop_early orders     other first statistics and other p-values to stop at
    python -m benchmarks.stop_early stages     what is found where stages are left out for every model

From the kept statistics alone; nothing is scanned. A reference is never judged by itself. A backdoor is lost where the
whole scan finds it at p ≤ .05 and the first statistics give more than `Settings.clear`. No clean model is accused by
stopping, so every p-value stays valid: at most as many are small as without. Seconds are those of a ResNet-56
(`python -m benchmarks.scan_seconds`) in which nothing is found.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.foretold import CHOSEN_ON as KEPT
from benchmarks.foretold import TITLES, describe_split
from benchmarks.foretold import judge as judge_lines
from benchmarks.record import RESULTS, markdown, write_result
from benchmarks.scoring.ours import row_of
from benchmarks.zoo.calibrate import read_lines
from phosphene.scanner.judging import judge
from phosphene.scanner.record import Scan
from phosphene.scanner.reference import Reference, Row, load_shipped
from phosphene.scanner.settings import Settings
from phosphene.scanner.statistics.registry import LATER, STATISTICS
from phosphene.scanner.verdict import SUSPICIOUS_LEVEL

LARGE = "signs10at64"  # no references speak for images of this size
SPLITS = {
    "development": "scanner-statistics-dev",
    "test": "scanner-statistics-test",
    "final": "scanner-statistics-final",
    "fractals, clean ones of the check": "scanner-statistics-fractals-check",
    "trained against the scanner": "adaptive-networks",
}
CHOSEN_ON = ("development", "test")
PUBLIC = "public CIFAR-10 networks"
NETWORK = "ResNet-56"
LEVELS = (0.2, 0.3, 0.4, 0.5)
# Names of columns and stages that come later, by what is said of them.
ORDERS: Mapping[str, tuple[str, ...]] = {
    "**as shipped**": tuple(statistic.key for statistic in LATER),
    "margins among the first": ("other stamps", "squares", "permutations"),
    "no additive search among the first": ("margins", "other stamps", "squares", "permutations", "short additive"),
    "no search for patches among the first": ("margins", "other stamps", "squares", "permutations", "short patch"),
}
# Stages that no model goes through, with a part of one.
LEFT_OUT: tuple[tuple[str, ...], ...] = (
    (),
    ("permutations",),
    ("other stamps",),
    ("squares",),
    ("margins",),
    ("permutations", "other stamps"),
    ("permutations", "other stamps", "squares", "margins"),
)
Cells = dict[str, Any]


@dataclass(frozen=True)
class Model:
    """What was measured of it, and whether it has a backdoor whose trigger works on nine images of ten."""

    row: Row
    poisoned: bool
    strong: bool


@dataclass(frozen=True)
class Judged:
    """p-values by all statistics and by the first ones; None where no references speak for them."""

    model: Model
    whole: float
    first: float | None

    def stops(self, level: float) -> bool:
        return self.first is not None and self.first > level


def read_models(name: str) -> Iterator[Model]:
    for line in read_lines(RESULTS / f"{name}.jsonl"):
        if line.get("domain") == LARGE:
            continue
        poisoned = bool(line.get("poisoned", line.get("target") is not None))
        success = line.get("success")
        strong = poisoned and (line["stratum"] == "main" if "stratum" in line else success is None or success >= 0.9)
        yield Model(Row.from_json(line["row"]), poisoned, strong)


def read_public() -> Iterator[Model]:
    table = {row["network"]: row for row in json.loads((RESULTS / "outside.json").read_text())["rows"]}
    for name, row in table.items():
        poisoned = row["backdoored"] == "yes"
        yield Model(row_of(Scan.load(RESULTS / "outside" / f"{name}.json")), poisoned, poisoned)


def judge_whole(models: Sequence[Model], table: Reference) -> list[float]:
    """p-values by all statistics."""
    return [judge(one.row, table.without(one.row.fingerprint), Settings()).p_value for one in models]


def judge_first(
    models: Sequence[Model], whole: Sequence[float], later: Collection[str], table: Reference
) -> list[Judged]:
    """With what the statistics say that are none of the `later` ones."""
    columns, judged = {column.key for key in later for column in STATISTICS[key].columns}, []
    for model, p_value in zip(models, whole, strict=True):
        first = judge(model.row.without(columns), table.without(model.row.fingerprint), Settings())
        judged.append(Judged(model, p_value, None if first.external is None else first.p_value))
    return judged


def describe(judged: Sequence[Judged], level: float) -> Cells:
    strong = [one for one in judged if one.model.strong and one.whole <= SUSPICIOUS_LEVEL]
    clean = [one for one in judged if not one.model.poisoned]
    accused = [one for one in clean if one.whole <= SUSPICIOUS_LEVEL]
    return {
        "clean": len(clean),
        "of these stopped": sum(one.stops(level) for one in clean),
        "accused by all statistics": len(accused),
        "and not stopped": sum(not one.stops(level) for one in accused),
        "backdoored": sum(one.model.strong for one in judged),
        "found by all statistics": len(strong),
        "of these lost": sum(one.stops(level) for one in strong),
        "backdoored, not found, stopped": sum(
            one.model.strong and one.whole > SUSPICIOUS_LEVEL and one.stops(level) for one in judged
        ),
    }


def list_splits(table: Reference) -> Iterator[Cells]:
    level, later = Settings().clear, ORDERS["**as shipped**"]
    networks = {name: list(read_models(file)) for name, file in SPLITS.items()} | {PUBLIC: list(read_public())}
    for name, models in networks.items():
        yield {"networks": name} | describe(judge_first(models, judge_whole(models, table), later, table), level)


def list_orders(table: Reference) -> Iterator[Cells]:
    seconds, models = read_seconds(), {name: list(read_models(SPLITS[name])) for name in CHOSEN_ON}
    whole = {name: judge_whole(some, table) for name, some in models.items()}
    for order, later in ORDERS.items():
        judged = {name: judge_first(some, whole[name], later, table) for name, some in models.items()}
        for level in LEVELS:
            told = {name: describe(some, level) for name, some in judged.items()}
            yield {
                "first statistics": order,
                "stop above": level,
                f"seconds of a {NETWORK}": round(seconds["all, nothing found"] - sum(seconds[key] for key in later)),
            } | {
                f"{name}: {title}": f"{cells[part]} of {cells[among]}"
                for name, cells in told.items()
                for title, part, among in (
                    ("lost", "of these lost", "found by all statistics"),
                    ("clean ones stopped", "of these stopped", "clean"),
                )
            }


def list_stages(table: Reference) -> Iterator[Cells]:
    seconds = read_seconds()
    lines = {name: [one for one in read_lines(path) if one["domain"] != LARGE] for name, path in KEPT.items()}
    for dropped in LEFT_OUT:
        columns = {column.key for key in dropped for column in STATISTICS[key].columns}
        rows = tuple(row.without(columns) for row in table.rows)
        fewer = replace(table, rows=rows, further=())
        cells = {
            "left out for every model": ", ".join(dropped) or "nothing",
            f"seconds of a {NETWORK}": round(seconds["all, nothing found"] - sum(seconds[key] for key in dropped)),
        }
        for name, some in lines.items():
            kept = [{**line, "row": Row.from_json(line["row"]).without(columns).to_json()} for line in some]
            told = describe_split(judge_lines(kept, fewer))
            cells |= {f"{name}: {title}": cell for title, cell in zip(TITLES, told, strict=True)}
        yield cells


def read_seconds() -> dict[str, float]:
    rows = json.loads((RESULTS / "scan-seconds.json").read_text())["rows"]
    return {row["stage"]: float(row["seconds"]) for row in rows if row["network"] == NETWORK}


TABLES = {
    "splits": (list_splits, "stop-early", ""),
    "orders": (list_orders, "stop-early-orders", " orders"),
    "stages": (list_stages, "stage-worth", " stages"),
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", nargs="?", choices=TABLES, default="splits")
    options = parser.parse_args(arguments)
    list_rows, name, command = TABLES[options.command]
    rows = []
    for row in list_rows(load_shipped()):
        print(row, flush=True)
        rows.append(row)
    print(markdown(rows))
    settings = {"clear": Settings().clear, "level": SUSPICIOUS_LEVEL}
    print(write_result(name, f"python -m benchmarks.stop_early{command}", settings, rows))


if __name__ == "__main__":
    main()
