"""What is it worth that a model's score is compared with what is foretold from what is typical of its classes?

    python -m benchmarks.foretold            by the splits that it was chosen on, beside other choices
    python -m benchmarks.foretold --final    by the final split, which it was not chosen on: with and without it

From the kept statistics alone; nothing is scanned. Models of the development split are judged by the shipped
references, each without itself, those of other splits by all.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.record import RESULTS, markdown, write_result
from benchmarks.scoring.statistics import area_interval, kolmogorov, rate
from benchmarks.zoo.calibrate import DEV, UNTOLD, Line, make_reference, read_lines
from phosphene.scanner.fusion import fuse
from phosphene.scanner.pool import Pool
from phosphene.scanner.reference import Reference, Row
from phosphene.scanner.statistics.registry import collect_roles

CHOSEN_ON = {"development": DEV, "test": RESULTS / "scanner-statistics-test.jsonl"}
FINAL = {"final": RESULTS / "scanner-statistics-final.jsonl"}
LARGE = "signs10at64"  # no references speak for images of this size
FAR = 1e6  # deviations: what is typical of a model counts from however far
GROUPS = {
    "no normalisation": ("architecture", "plain"),
    "transformers": ("architecture", "vit"),
    "residual": ("architecture", "resnet"),
    "VGG": ("architecture", "vgg"),
    "separable": ("architecture", "separable"),
    "43 classes": ("domain", "signs43"),
}


def describe_counted(pool: Pool, row: Row) -> list[float]:
    """What is typical by the columns alone that count for a score."""
    kept = collect_roles().of_classes & pool.spread.keys()
    return DESCRIBE(pool.without(pool.spread.keys() - kept), row)


DESCRIBE = Pool._describe_classes
TITLES = ("found at .05 and .01", "clean ones accused", "AUC")
Cells = dict[str, str]
VARIANTS: dict[str, dict[str, Any]] = {
    "nothing foretold": {"SHRINKAGE": UNTOLD},
    "**as shipped**": {},
    "a regression of three models' weight": {"SHRINKAGE": 3.0},
    "of thirty": {"SHRINKAGE": 30.0},
    "what is typical counts from however far": {"MAX_FACT": FAR},
    "from facts of the architecture alone": {"Pool._describe_classes": Pool._facts},
    "from the columns alone that count": {"Pool._describe_classes": describe_counted},
}


@dataclass(frozen=True)
class Judged:
    line: Line
    score: float
    p_value: float

    @property
    def is_strong(self) -> bool:
        return bool(self.line["poisoned"]) and self.line["stratum"] == "main"


def judge(lines: Sequence[Line], table: Reference) -> list[Judged]:
    judged = []
    for line in lines:
        row = Row.from_json(line["row"])
        found = fuse(row, table.without(row.fingerprint))
        judged.append(Judged(line, found.score, found.external))
    return judged


def describe_split(judged: Sequence[Judged]) -> tuple[str, str, str]:
    """Backdoors found at both levels, clean models accused, area."""
    clean, strong = [one for one in judged if not one.line["poisoned"]], [one for one in judged if one.is_strong]
    found = [sum(one.p_value <= level for one in strong) for level in (0.05, 0.01)]
    accused = rate(sum(one.p_value <= 0.05 for one in clean), len(clean))
    area = area_interval([one.score for one in clean], [one.score for one in strong])
    return f"{found[0]} and {found[1]} of {len(strong)}", str(accused), str(area)


def judge_variants(splits: Mapping[str, Path], variants: Sequence[str]) -> tuple[list[Cells], list[Cells]]:
    """By variant: power and false alarms on each split, and the distances of clean models' p-values from uniform."""
    lines = {name: [line for line in read_lines(path) if line["domain"] != LARGE] for name, path in splits.items()}
    table, powers, distances = make_reference(read_lines(DEV)), [], []
    for name in variants:
        with ExitStack() as changed:
            for attribute, value in VARIANTS[name].items():
                changed.enter_context(patch(f"phosphene.scanner.pool.{attribute}", value))
            judged = {split: judge(some, table) for split, some in lines.items()}
        power = {"foretold": name}
        for split, some in judged.items():
            power |= {f"{split}: {title}": cell for title, cell in zip(TITLES, describe_split(some), strict=True)}
        powers.append(power)
        clean = [one for some in judged.values() for one in some if not one.line["poisoned"]]
        told = {
            group: kolmogorov([one.p_value for one in clean if one.line[field] == value])
            for group, (field, value) in GROUPS.items()
        }
        distances.append({"foretold": name} | told)
        print(powers[-1], distances[-1], flush=True)
    return powers, distances


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--final", action="store_true", help="the final split, with and without it")
    options = parser.parse_args(arguments)
    splits, variants = (FINAL, list(VARIANTS)[:2]) if options.final else (CHOSEN_ON, list(VARIANTS))
    powers, distances = judge_variants(splits, variants)
    stem, command = "foretold" + "-final" * options.final, "python -m benchmarks.foretold" + " --final" * options.final
    for name, rows in {stem: powers, f"{stem}-uniformity": distances}.items():
        print(markdown(rows))
        print(write_result(name, command, vars(options), rows))


if __name__ == "__main__":
    main()
