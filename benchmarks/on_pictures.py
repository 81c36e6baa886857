"""Can statistics that were measured on pictures be compared with references that were measured on surrogates?

    python -m benchmarks.on_pictures measure     measure models of `tests/zoo` on test images; can be stopped and
    resumed python -m benchmarks.on_pictures judge       judge what was measured, and write the table

Forty images of the model's own test data stand in for surrogates, half of them in searches, as with `phosphene scan
--images`; a scan never makes the comparison of this table, unless the references were measured on the same pictures.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch

from benchmarks.against_twins import ZOO
from benchmarks.record import RESULTS, markdown, write_result
from benchmarks.zoo.calibrate import line_of, read_lines
from benchmarks.zoo.cards import Card, cards, clean_images, load
from phosphene.scanner.calibration import measure_row
from phosphene.scanner.comparison import choose_references, compare
from phosphene.scanner.fusion import fuse
from phosphene.scanner.pictures import Pictures
from phosphene.scanner.reference import Reference, Row, load_shipped
from phosphene.scanner.settings import Settings

KEPT = RESULTS / "on-pictures-statistics.jsonl"
IMAGES = 40
# Networks that are measured soon, clean and backdoored in turns.
MODELS = ("055", "002", "061", "006", "062", "050", "056")


def list_models() -> list[Card]:
    known = {card.name.split("-")[1]: card for card in cards(ZOO)}
    return [known[number] for number in MODELS]


def measure_missing() -> Iterator[str]:
    done = {line["name"] for line in read_lines(KEPT)}
    for card in list_models():
        if card.name in done:
            continue
        started, pictures = time.process_time(), Pictures(clean_images(card, IMAGES), "test images")
        row = measure_row(load(card), images=pictures)
        seconds = round(time.process_time() - started, 1)
        with KEPT.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line_of(card, row, seconds=seconds), separators=(",", ":")) + "\n")
        yield f"{card.name}: {seconds} s"


def write_table() -> Iterator[str]:
    table, before = (
        load_shipped(),
        {line["name"]: line for line in read_lines(RESULTS / "scanner-statistics-dev.jsonl")},
    )
    rows = [describe(line, before[line["name"]], table) for line in read_lines(KEPT)]
    write_result("on-pictures", "python -m benchmarks.on_pictures judge", {"images": IMAGES}, rows)
    yield markdown(rows)


def describe(line: Mapping[str, Any], before: Mapping[str, Any], table: Reference) -> dict[str, str]:
    """External p-values of both, as if the references spoke for both, and how far the level of patches has moved."""
    cells = {"model": line["name"].removeprefix("dev-"), "backdoored": "yes" if line["poisoned"] else "no"}
    for name, one in (("surrogates", before), ("pictures", line)):
        row = Row.from_json(one["row"])
        others = choose_references(row, table.without(row.fingerprint), Settings())
        comparison = compare(row, others, Settings())
        judged = fuse(row, others, left_out=comparison.left_out)
        out = comparison.families or ("nothing",)
        cells |= {f"p on {name}": f"{judged.external:.3f}", f"left out on {name}": ", ".join(out)}
        cells |= {f"median patch on {name}": f"{row.whole['level patch']:.2f}"}
    return cells


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("measure", "judge"))
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    run: Mapping[str, Callable[[], Iterable[str]]] = {"measure": measure_missing, "judge": write_table}
    for line in run[options.command]():
        print(line, flush=True)


if __name__ == "__main__":
    main()
