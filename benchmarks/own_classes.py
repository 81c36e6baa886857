"""The p-value by a model's own classes: is it true on clean models, and what does it find?

    python -m benchmarks.own_classes measure --models DIR    statistics of clean ImageNet networks, one file a network
    python -m benchmarks.own_classes judge                   p-values of the kept statistics, and the tables

`judge` splits the classes of each network at random into clean models of 50 to 333 classes, plants shifts into columns
of one kind, and judges the models of 43 classes of the zoo, fewer than a scan asks for, among which are real backdoors.
`measure` leaves out what it has, so that it can be stopped and started again. DIR holds `cards.json`
(`benchmarks.outside`); networks of it that are not there are named and left out. The networks are scanned at 128 and 96
pixels, where a scan of a thousand classes takes minutes.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.left_out import describe_alarms
from benchmarks.outside import open_model, read_cards
from benchmarks.record import RESULTS, markdown, write_result
from benchmarks.scoring.statistics import kolmogorov, rate
from benchmarks.zoo.calibrate import read_lines
from phosphene.core.memory import keep_freed_memory
from phosphene.core.records import to_plain
from phosphene.model.classifier import Classifier
from phosphene.model.sources.load import load
from phosphene.scanner.calibration import measure_row
from phosphene.scanner.fusion import MAX_OUTLIER
from phosphene.scanner.own_classes import Controls, compare_own_classes
from phosphene.scanner.pvalues import grubbs
from phosphene.scanner.reference import Reference, Row, load_shipped
from phosphene.scanner.settings import Settings
from phosphene.scanner.statistics.registry import collect_roles, split_settings

Cells = dict[str, str]
FEWEST = 43  # classes that are judged here
SIZES = (50, 100, 200, 333)  # classes of the parts of a network
DISTANCES, PLANTED = (4, 8, 12, 16, 24, 32), 10  # spreads, and classes of each network that are moved, one at a time
PACKAGED = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
OUTSIDE = ("mobilenet_v1", "mobilenet_v1_075", "squeezenet1_0")
# The fewest iterations that are a search; they reach so few classes that a column has two to four values. So the other
# networks are not searched, and their margins and stamps are as good as the minutes allow.
SEARCHED = Settings(
    surrogates=1, surrogate_iterations=16, stamps=32, images=1, images_many=1, patch_iterations=3,
    additive_iterations=3, colour_iterations=2, warp_iterations=2, margin_starts=1, margin_iterations=2,
    permutation_iterations=0,
)  # fmt: skip
STAMPED = replace(
    SEARCHED, patch_iterations=0, additive_iterations=0, colour_iterations=0, warp_iterations=0, margin_iterations=5
)
PLANS = {"efficientnet_lite0": (128, SEARCHED)}  # pixels and settings
PLAN = (96, STAMPED)  # of the other networks


def open_network(name: str, folder: Path | None) -> Classifier | None:
    """A network by name, for small images; None of one that is not in the folder."""
    if name in PACKAGED:
        return shrink(load(name))
    if folder is None or not (folder / f"{name}.safetensors").is_file():
        return None
    card = next(card for card in read_cards(folder) if Path(card["file"]).stem == name)
    return shrink(open_model(card, folder))


def shrink(classifier: Classifier) -> Classifier:
    """The same network for smaller images; all of them end in a mean over places."""
    side, _ = PLANS.get(classifier.name, PLAN)
    return classifier.replace(format=replace(classifier.format, size=(side, side)))


def measure(classifier: Classifier, saved: Path) -> float:
    """Write the statistics of one network as a table of one row; the seconds that it took."""
    started, (_, settings) = time.monotonic(), PLANS.get(classifier.name, PLAN)
    row = measure_row(classifier, settings)
    command = "python -m benchmarks.own_classes measure"
    Reference(classifier.name, command, split_settings(to_plain(settings)), (row,)).save(saved)
    return time.monotonic() - started


def measure_missing(options: argparse.Namespace) -> Iterator[str]:
    for name in options.only or (*PACKAGED, *OUTSIDE):
        saved = options.out / f"{name}.json"
        if saved.is_file():
            continue
        classifier = open_network(name, options.models)
        yield f"{name}: not here" if classifier is None else f"{name}: {measure(classifier, saved):.0f} s"


def load_rows(folder: Path) -> list[Row]:
    """The networks measured so far."""
    return [Reference.load(path).rows[0] for path in sorted(folder.glob("*.json"))]


def compare_classes(row: Row) -> Controls:
    """As a scan does, also for a model of fewer classes than it asks for."""
    found = compare_own_classes(row, fewest=FEWEST)
    if found is None:
        raise ValueError(f"{row.name} has too few classes")
    return found


def measure_internal(row: Row) -> float:
    """The internal p-value: Grubbs's test of the sum of the columns, in spreads of the model's own classes."""
    counted = sorted(collect_roles().of_classes & row.centred.keys())
    columns = [row.centred[name] for name in counted]
    together = [np.clip(values / spread, -MAX_OUTLIER, MAX_OUTLIER) for values, spread in columns if spread > 0]
    return grubbs(np.sum(together, axis=0).tolist())


def describe_network(row: Row) -> Cells:
    found = compare_classes(row)
    order = np.argsort(found.scores)[::-1]
    first, second = (found.scores[index] for index in order[:2])
    return {
        "network": row.name,
        "pixels": str(row.size),
        "searches": "yes" if "patch" in row.classes else "no",
        "classes": str(found.classes),
        "p by its own classes": f"{found.p_value:.3f}",
        "internal p": f"{measure_internal(row):.2g}",
        "first, second score": f"{first:.2f}, {second:.2f}",
    }


def select_classes(row: Row, chosen: NDArray[np.int64]) -> Row:
    classes = {name: tuple(np.array(values)[chosen].tolist()) for name, values in row.classes.items()}
    return replace(row, outputs=len(chosen), classes=classes)


def split_classes(row: Row, size: int, seed: int) -> Iterator[Row]:
    """Disjoint random sets of so many classes each."""
    order = np.random.default_rng(seed).permutation(row.outputs)
    for first in range(0, row.outputs - size + 1, size):
        yield select_classes(row, order[first : first + size])


def judge_parts(rows: Sequence[Row], seed: int) -> list[Cells]:
    """One line a size: clean models that are parts of the networks."""
    lines = []
    for size in SIZES:
        parts = [part for row in rows for part in split_classes(row, size, seed)]
        lines.append({"classes": str(size)} | describe_clean(parts))
    return lines


def describe_clean(rows: Sequence[Row]) -> Cells:
    values = [compare_classes(row).p_value for row in rows]
    internal = [measure_internal(row) for row in rows]
    alarms = describe_alarms(values)
    return (
        {"number": alarms.pop("clean")}
        | alarms
        | {
            "distance from uniform": kolmogorov(values),
            "internal p ≤ .05": str(rate(sum(p <= 0.05 for p in internal), len(rows))),
        }
    )


def plant(row: Row, kind: str, distance: float, index: int) -> Row:
    """The row with one class moved by so many spreads in all columns of a kind."""
    moved = dict(row.classes)
    for name in collect_roles().kinds[kind]:
        if name in row.centred:
            values = np.array(row.classes[name])
            values[index] += distance * row.centred[name][1]
            moved[name] = tuple(values.tolist())
    return replace(row, classes=moved)


def judge_planted(rows: Sequence[Row], seed: int) -> list[Cells]:
    """One line a kind: how often a shift of a class among all of a network is found."""
    generator, lines = np.random.default_rng(seed), []
    for kind in collect_roles().kinds:
        line = {"kind": kind}
        for distance in DISTANCES:
            chosen = [(row, int(index)) for row in rows for index in generator.integers(row.outputs, size=PLANTED)]
            judged = [(compare_classes(plant(row, kind, distance, index)), index) for row, index in chosen]
            found = sum(one.p_value <= 0.05 and int(np.argmax(one.scores)) == index for one, index in judged)
            line[f"{distance} spreads"] = f"{found} of {len(judged)}"
        lines.append(line)
    return lines


def list_zoo() -> list[tuple[Row, int | None, bool]]:
    """Models of 43 classes of the reference table and of both splits: row, target, and whether it is clean."""
    lines = [line for split in ("dev", "test") for line in read_lines(RESULTS / f"scanner-statistics-{split}.jsonl")]
    lines = [line for line in lines if line["row"]["outputs"] == FEWEST]
    known = {line["name"] for line in lines}
    shipped = [row for row in load_shipped().rows if row.outputs == FEWEST and row.name not in known]
    models = [(Row.from_json(line["row"]), line["target"], not line["poisoned"]) for line in lines]
    return [*models, *((row, None, True) for row in shipped)]


def judge_zoo() -> list[Cells]:
    """Clean and backdoored models of 43 classes."""
    models = list_zoo()
    aimed = [(row, target) for row, target, clean in models if not clean and target is not None]
    right = sum(int(np.argmax(compare_classes(row).scores)) == target for row, target in aimed)
    return [
        {"models": words}
        | describe_clean([row for row, _, clean in models if clean is wanted])
        | {"target first": "–" if wanted else f"{right} of {len(aimed)}"}
        for words, wanted in (("clean", True), ("backdoored", False))
    ]


def run_judge(options: argparse.Namespace) -> None:
    rows = load_rows(options.out)
    tables = {
        "own-classes": [describe_network(row) for row in rows],
        "own-classes-parts": judge_parts(rows, options.seed),
        "own-classes-zoo": judge_zoo(),
        "own-classes-planted": judge_planted(rows, options.seed),
    }
    for name, lines in tables.items():
        print(markdown(lines), flush=True)
        write_result(name, "python -m benchmarks.own_classes judge", {"seed": options.seed}, lines)


def run_measure(options: argparse.Namespace) -> None:
    for line in measure_missing(options):
        print(line, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("measure", "judge"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", help="names of networks")
    options = parse_with_models(parser, arguments, RESULTS / "own-classes")
    {"measure": run_measure, "judge": run_judge}[options.command](options)


def parse_with_models(
    parser: argparse.ArgumentParser, arguments: Sequence[str] | None, out: Path
) -> argparse.Namespace:
    """The options, with `--models` and `--out` among them; the architectures beside the models can be imported then."""
    parser.add_argument("--models", type=Path, help="folder with cards.json")
    parser.add_argument("--out", type=Path, default=out, help="folder for what was measured")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    if options.models is not None:
        sys.path.insert(0, str(options.models))
    torch.set_num_threads(1)
    keep_freed_memory()
    return options


if __name__ == "__main__":
    main()
