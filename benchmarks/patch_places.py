"""Is the place of a patch in the network at all? The true trigger, where it was taught and everywhere else.

    python -m benchmarks.patch_places train --folder DIR      networks with a planted square, what is missing
    python -m benchmarks.patch_places measure --folder DIR    those of any folder of benchmarks.zoo

Of every network with a planted square, the share of test images that the square sends to the target where it was
taught, and at the best of all places that do not touch it. A network that halves its images and then takes a mean over
the places answers alike to a square that is moved by some pixels: it does not hold the place, and that can be found by
luck alone. Beside it how much of the square is covered by the window that `localize_patch` finds for the target,
whatever a scan says of the network: on smooth noise, as a scan looks for it, and on surrogates.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from benchmarks.record import markdown, write_result
from benchmarks.scoring.statistics import overlap, rate
from benchmarks.zoo.attacks.triggers import Patch
from benchmarks.zoo.building import build_and_describe, is_finished, use_one_thread
from benchmarks.zoo.cards import MAIN, Card, cards, clean_images, load, trigger_mask
from benchmarks.zoo.plan import DOMAIN_TURNS, Entry
from benchmarks.zoo.small import SMALL
from phosphene.model.classifier import Classifier
from phosphene.scanner.context import Context
from phosphene.scanner.examination import choose_noise
from phosphene.scanner.localization import localize_patch
from phosphene.scanner.measuring import prepare_classifier
from phosphene.scanner.settings import Settings
from phosphene.scanner.verification import choose_images

NETWORKS = 20
IMAGES = 40
HELD = 0.9  # of the success at its own place: where the best other place keeps less, the network holds the place
Cells = dict[str, Any]


@dataclass(frozen=True)
class Measured:
    """Success at the own place and at the best other one; overlap of the square and the windows that are found."""

    own: float
    elsewhere: float
    on_noise: float
    on_surrogates: float

    @property
    def is_held(self) -> bool:
        return self.elsewhere < HELD * self.own


def measure(card: Card) -> Measured | None:
    """None where the network has no planted square that works on most images."""
    if card.made is None or not isinstance(card.made.trigger, Patch) or card.target is None:
        return None
    if card.kind != "patch" or (card.success or 0) < MAIN:
        return None
    patch, classifier = card.made.trigger, prepare_classifier(load(card))
    with torch.no_grad():
        images = clean_images(card, IMAGES)
        others = images[classifier(images).argmax(dim=1) != card.target]
    own = count_turned(classifier, others, card.target, patch)
    moved = [replace(patch, row=row, column=column) for row, column in list_places(patch, card.size[0])]
    elsewhere = max(count_turned(classifier, others, card.target, one) for one in moved)
    return Measured(own, elsewhere, *find_overlaps(card, classifier))


def list_places(patch: Patch, side: int) -> list[tuple[int, int]]:
    """All that do not touch the patch where it was taught."""
    steps = range(side - patch.size + 1)
    return [
        (row, column)
        for row in steps
        for column in steps
        if abs(row - patch.row) > patch.size or abs(column - patch.column) > patch.size
    ]


def count_turned(classifier: Classifier, others: Tensor, target: int, patch: Patch) -> float:
    with torch.no_grad():
        return float((classifier(patch.stamp(others)).argmax(dim=1) == target).float().mean())


def find_overlaps(card: Card, classifier: Classifier) -> tuple[float, float]:
    """Of the planted square and the window that is found for its target on noise, and on surrogates: intersection over
    union."""
    context, true = Context(classifier, Settings()), trigger_mask(card)
    if true is None or card.target is None:
        raise ValueError(f"{card.name} has no place")
    settings = context.settings
    surrogates = choose_images(classifier, context.surrogates, card.target, settings.seed)
    overlaps = []
    for images in (choose_noise(context, card.target), surrogates[: settings.window_images]):
        window = localize_patch(classifier, card.target, images, settings.window_iterations)
        overlaps.append(overlap(window.as_candidate().parameters[0][0, 0].numpy(), true.numpy()))
    return overlaps[0], overlaps[1]


def describe(name: str, measured: Sequence[Measured]) -> Cells:
    cells = {
        "networks": name,
        "number": len(measured),
        "success at its place": f"{median(one.own for one in measured):.2f}",
        "at the best other place": f"{median(one.elsewhere for one in measured):.2f}",
    }
    for words, found in (
        ("on noise", [one.on_noise for one in measured]),
        ("on surrogates", [one.on_surrogates for one in measured]),
    ):
        cells[f"IoU {words}, median"] = f"{median(found):.2f}"
        cells[f"IoU ≥ .5 {words}"] = str(rate(sum(one >= 0.5 for one in found), len(found)))
    return cells


def list_entries() -> list[Entry]:
    """Through domains and architectures in turn."""
    architectures = list(SMALL)
    return [
        Entry("places", k, DOMAIN_TURNS[k % len(DOMAIN_TURNS)], architectures[k % len(architectures)], "patch")
        for k in range(NETWORKS)
    ]


def run_train(folder: Path) -> None:
    for entry in list_entries():
        if not is_finished(entry, folder):
            print(build_and_describe(entry, folder), flush=True)


def run_measure(folder: Path) -> None:
    found = []
    for card in cards(folder):
        one = measure(card)
        if one is not None:
            print(card.name, one, flush=True)
            found.append(one)
    groups = {
        "the place matters": [one for one in found if one.is_held],
        "it works elsewhere as well": [one for one in found if not one.is_held],
        "all": found,
    }
    rows = [describe(name, some) for name, some in groups.items() if some]
    print(markdown(rows))
    settings = {"images": IMAGES, "held": HELD}
    print(write_result("patch-places", "python -m benchmarks.patch_places measure --folder DIR", settings, rows))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("train", "measure"))
    parser.add_argument("--folder", type=Path, required=True, help="of networks that benchmarks.zoo has trained")
    options = parser.parse_args(arguments)
    use_one_thread()
    options.folder.mkdir(parents=True, exist_ok=True)
    {"train": run_train, "measure": run_measure}[options.command](options.folder)


if __name__ == "__main__":
    main()
