"""Is the p-value still true when families of changes are left out of the comparison, and what is it worth then?

    python -m benchmarks.left_out

From the kept statistics alone; nothing is scanned. Each clean model of the test split is judged by the shipped
references, which have no model in common with it, with every set of at most two families left out: the largest distance
of its p-values from uniform ones (Kolmogorov, with the value that a true p-value exceeds in 5% of such samples), false
alarms, and how many backdoors are still found. Then whole architectures and domains are taken out of the references and
their clean models judged by the rest: what is unlike the rest is left out by the scanner's own rule.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterable, Sequence

import numpy as np

from benchmarks.record import RESULTS, markdown, write_result
from benchmarks.scoring.statistics import kolmogorov, rate
from benchmarks.zoo.calibrate import Line, make_reference, read_lines
from phosphene.scanner.comparison import compare, family_of
from phosphene.scanner.fusion import fuse
from phosphene.scanner.reference import Reference, Row
from phosphene.scanner.settings import Settings

FAMILIES = ("patch", "additive", "colour", "warp")
MOST_LEFT_OUT = 2
Cells = dict[str, str]


def judge_without(lines: Sequence[Line], table: Reference, families: Iterable[str]) -> list[float]:
    """External p-values with all columns of some families left out."""
    left_out = [name for name in table.columns if family_of(name) in set(families)]
    return [fuse(Row.from_json(line["row"]), table, left_out=left_out).external for line in lines]


def describe_alarms(values: Sequence[float]) -> Cells:
    accused = [str(rate(int(np.sum(np.array(values) <= level)), len(values))) for level in (0.05, 0.01)]
    return {"clean": str(len(values)), "p ≤ .05": accused[0], "p ≤ .01": accused[1]}


def leave_families_out(known: Sequence[Line], judged: Sequence[Line]) -> list[Cells]:
    """One row a set of families."""
    table, rows = make_reference(known), []
    clean = [line for line in judged if not line["poisoned"]]
    poisoned = [line for line in judged if line["poisoned"] and line["stratum"] == "main"]
    for count in range(MOST_LEFT_OUT + 1):
        for families in itertools.combinations(FAMILIES, count):
            values, found = (judge_without(lines, table, families) for lines in (clean, poisoned))
            rows.append({"left out": ", ".join(families) or "nothing"} | describe_alarms(values)
                        | {"distance from uniform": kolmogorov(values),
                           "found": f"{sum(p <= 0.05 for p in found)} of {len(found)}"})  # fmt: skip
            print(rows[-1], flush=True)
    return rows


def leave_references_out(known: Sequence[Line], judged: Sequence[Line]) -> list[Cells]:
    """One row an architecture or domain: its clean models judged by references of all others."""
    rows = []
    for fact in ("architecture", "domain"):
        for value in sorted({line[fact] for line in known}):
            table = make_reference([line for line in known if line[fact] != value])
            clean = [line for line in (*known, *judged) if not line["poisoned"] and line[fact] == value]
            rows.append({"references without": value} | _judge_by_rule(clean, table))
            print(rows[-1], flush=True)
    return rows


def _judge_by_rule(clean: Sequence[Line], table: Reference) -> Cells:
    values, parts = [], {"in full": 0, "in part": 0, "not": 0}
    for line in clean:
        row = Row.from_json(line["row"])
        comparison = compare(row, table, Settings())
        parts["not" if comparison.outside else "in part" if comparison.left_out else "in full"] += 1
        if not comparison.outside:
            values.append(fuse(row, table, left_out=comparison.left_out).external)
    cells = {f"compared {part}": str(count) for part, count in parts.items()}
    return cells | (describe_alarms(values) if values else dict.fromkeys(("clean", "p ≤ .05", "p ≤ .01"), "–"))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args(arguments)
    known, judged = (read_lines(RESULTS / f"scanner-statistics-{split}.jsonl") for split in ("dev", "test"))
    made = {"families": leave_families_out(known, judged), "references": leave_references_out(known, judged)}
    for name, rows in made.items():
        print(f"\n{markdown(rows)}")
        write_result(f"left-out-{name}", "python -m benchmarks.left_out", {"models": len(known) + len(judged)}, rows)


if __name__ == "__main__":
    main()
