"""The p-value by a model's own classes: is it true on clean models, and what does it find?

    python -m benchmarks.own_classes measure --models DIR    statistics of clean ImageNet networks, one file a network
    python -m benchmarks.own_classes judge                   p-values of the kept statistics, and the tables

`measure` leaves out what it has, so that it can be stopped and started again. DIR holds `cards.json`
(`benchmarks.outside`); networks of it that are not there are named and left out. The networks are scanned at 128 and
96 pixels, where a scan of a thousand classes takes minutes.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.outside import open_model, read_cards
from benchmarks.record import RESULTS
from phosphene.core.memory import keep_freed_memory
from phosphene.core.records import to_plain
from phosphene.model.classifier import Classifier
from phosphene.model.sources.load import load
from phosphene.scanner.calibration import measure_row
from phosphene.scanner.reference import Reference
from phosphene.scanner.settings import Settings
from phosphene.scanner.statistics.registry import split_settings

PACKAGED = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
OUTSIDE = ("mobilenet_v1", "mobilenet_v1_075", "squeezenet1_0")
SIDES, SIDE = {"efficientnet_lite0": 128}, 96  # pixels, of this network and of the others
# About what a budget of ten minutes on two cores buys at 224 pixels.
QUICK = Settings(
    surrogates=1, surrogate_iterations=16, stamps=32, images=1, images_many=1, patch_iterations=3,
    additive_iterations=3, colour_iterations=2, warp_iterations=2, margin_starts=1, margin_iterations=2,
    permutation_iterations=0,
)  # fmt: skip


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
    side = SIDES.get(classifier.name, SIDE)
    return classifier.replace(format=replace(classifier.format, size=(side, side)))


def measure(classifier: Classifier, saved: Path) -> float:
    """Write the statistics of one network as a table of one row; the seconds that it took."""
    started = time.monotonic()
    row = measure_row(classifier, QUICK)
    command = "python -m benchmarks.own_classes measure"
    Reference(classifier.name, command, split_settings(to_plain(QUICK)), (row,)).save(saved)
    return time.monotonic() - started


def measure_missing(options: argparse.Namespace) -> Iterator[str]:
    for name in options.only or (*PACKAGED, *OUTSIDE):
        saved = options.out / f"{name}.json"
        if saved.is_file():
            continue
        classifier = open_network(name, options.models)
        yield f"{name}: not here" if classifier is None else f"{name}: {measure(classifier, saved):.0f} s"


def run_measure(options: argparse.Namespace) -> None:
    for line in measure_missing(options):
        print(line, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("measure", "judge"))
    parser.add_argument("--models", type=Path, help="folder with cards.json")
    parser.add_argument("--out", type=Path, default=RESULTS / "own-classes", help="folder for the statistics")
    parser.add_argument("--only", nargs="*", help="names of networks")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    if options.models is not None:
        sys.path.insert(0, str(options.models))
    torch.set_num_threads(1)
    keep_freed_memory()
    {"measure": run_measure}[options.command](options)


if __name__ == "__main__":
    main()
