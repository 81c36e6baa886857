"""Is the place of a patch in the network at all? The true trigger, where it was taught and everywhere else.

    python -m benchmarks.patch_places --folder ZOO       networks of benchmarks.zoo in that folder

Of every network with a planted square, the share of test images that the square sends to the target where it was
taught, and at places of a grid that do not overlap it. Beside it how much of the square the scan's picture covered,
where the network was scanned. A place that the network does not hold can be found by luck alone.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import torch

from benchmarks.record import RESULTS, markdown, write_result
from benchmarks.scoring.statistics import rate
from benchmarks.zoo.attacks.triggers import Patch
from benchmarks.zoo.cards import MAIN, Card, cards, clean_images, load
from phosphene.model.classifier import Classifier
from phosphene.scanner.measuring import prepare_classifier

IMAGES = 60
STEP = 4  # pixels between the places of the grid
HELD = 0.5  # of the success at its own place: where the median place keeps less, the network holds the place
METHOD = "phosphene scan"
Cells = dict[str, Any]


@dataclass(frozen=True)
class Measured:
    """Success at the own place, the median of the others, and what a scan covered of the square."""

    own: float
    elsewhere: float
    alarm: bool | None
    iou: float | None

    @property
    def is_held(self) -> bool:
        return self.elsewhere < HELD * self.own


def list_places(patch: Patch, side: int) -> list[tuple[int, int]]:
    """Places of the grid that do not touch the patch where it was taught."""
    steps = range(0, side - patch.size + 1, STEP)
    apart = patch.size
    return [
        (row, column)
        for row in steps
        for column in steps
        if abs(row - patch.row) > apart or abs(column - patch.column) > apart
    ]


def measure(card: Card, scans: dict[str, Cells]) -> Measured | None:
    """None where the network has no planted square that works on most images."""
    if card.made is None or not isinstance(card.made.trigger, Patch) or card.target is None:
        return None
    if card.kind != "patch" or (card.success or 0) < MAIN:
        return None
    patch, classifier = card.made.trigger, prepare_classifier(load(card))
    images = clean_images(card, IMAGES)
    own = count_turned(classifier, images, card.target, patch)
    moved = [replace(patch, row=row, column=column) for row, column in list_places(patch, card.size[0])]
    elsewhere = median(count_turned(classifier, images, card.target, one) for one in moved)
    scan = scans.get(card.name, {})
    return Measured(own, elsewhere, scan.get("alarm"), scan.get("iou"))


def count_turned(classifier: Classifier, images: torch.Tensor, target: int, patch: Patch) -> float:
    with torch.no_grad():
        others = images[classifier(images).argmax(dim=1) != target]
        return float((classifier(patch.stamp(others)).argmax(dim=1) == target).float().mean())


def read_scans(split: str) -> dict[str, Cells]:
    path = RESULTS / f"scanner-runs-{split}.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    runs = [json.loads(line) for line in lines]
    return {run["model"]: run for run in runs if run["method"] == METHOD}


def describe(name: str, measured: Sequence[Measured]) -> Cells:
    located = [one.iou for one in measured if one.alarm and one.iou is not None]
    return {
        "networks": name,
        "number": len(measured),
        "success at its place": _median([one.own for one in measured]),
        "elsewhere": _median([one.elsewhere for one in measured]),
        "found": len(located),
        "IoU, median": _median(located),
        "IoU ≥ .5": str(rate(sum(iou >= 0.5 for iou in located), len(located))) if located else "–",
    }


def _median(values: Sequence[float]) -> str:
    return f"{median(values):.2f}" if values else "–"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", required=True, help="of networks that benchmarks.zoo has trained")
    parser.add_argument("--split", default="final", help="the networks' split")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    scans, found = read_scans(options.split), []
    for card in cards(options.folder, options.split):
        one = measure(card, scans)
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
    settings = {"images": IMAGES, "step": STEP, "held": HELD, "split": options.split}
    print(write_result("patch-places", "python -m benchmarks.patch_places --folder ZOO", settings, rows))


if __name__ == "__main__":
    main()
