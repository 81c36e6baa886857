"""Is a class that is as easy to leave as to reach a natural weak spot rather than a target?

    python -m benchmarks.asymmetry        kept statistics of both splits, nothing is searched again

Until this was measured, a scan excused such a class. The first class of every model that stands out is asked: how much
easier than the other classes is it to reach, and to leave, by the pairs that were searched for models of few classes
(scans of before). The excuse held where leaving was easier than for other classes and reaching was less so.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.record import RESULTS, markdown, write_result
from benchmarks.zoo.calibrate import Line, make_reference, read_lines
from phosphene.scanner.fusion import fuse
from phosphene.scanner.reference import Row

SPLITS = ("dev", "test")
LEVELS = (0.05, 0.15)


def list_suspects() -> Iterator[tuple[Line, float, bool]]:
    """Models with their external p-value, and whether their first class would have been excused."""
    lines = {split: read_lines(RESULTS / f"scanner-statistics-{split}.jsonl") for split in SPLITS}
    table = make_reference(lines["dev"])
    for line in (line for several in lines.values() for line in several):
        row = Row.from_json(line["row"])
        if "pairs_to" in row.classes:
            found = fuse(row, table.without(row.fingerprint))
            yield line, found.external, is_excused(row, int(np.argmax(found.scores)))


def is_excused(row: Row, target: int) -> bool:
    """Is it easier to leave than other classes, and less easy to reach, each against the mean of the others?"""
    reach = np.array(row.classes["pairs_to"])
    leave = reach - np.array(row.classes["pairs_excess"])
    forward, backward = (side[target] - np.nanmean(np.delete(side, target)) for side in (reach, leave))
    return bool(forward - backward < 0 < backward)


def main(arguments: Sequence[str] | None = None) -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args(
        arguments
    )
    suspects, rows = list(list_suspects()), []
    for level in LEVELS:
        for poisoned in (False, True):
            excused = {line["name"]: one for line, p, one in suspects if p <= level and line["poisoned"] == poisoned}
            names = [name for name, one in excused.items() if one]
            rows.append({
                "external p-value": f"≤ {level:g}", "models": "backdoored" if poisoned else "clean",
                "stand out": str(len(excused)), "excused": str(len(names)), "which": ", ".join(names) or "–",
            })  # fmt: skip
    print(markdown(rows))
    print(write_result("asymmetry", "python -m benchmarks.asymmetry", {"splits": list(SPLITS)}, rows))


if __name__ == "__main__":
    main()
