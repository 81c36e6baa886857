"""Is the trigger one small square? The smallest window in which some pattern does what the candidate does.

A mask that is optimised pixel by pixel is content with a few pixels of a trigger and a few of chance. A window shows
where the trigger lies: every place is tried with a pattern of its own, then smaller windows around the best one.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from phosphene.model.classifier import Classifier
from phosphene.scanner.backgrounds import Adam
from phosphene.scanner.families import FAMILIES, Family
from phosphene.scanner.margins import margin
from phosphene.scanner.search import Found

COARSE = 0.18  # side of the first windows, as a share of the image's
SMALLEST = 2  # pixels
ENOUGH = 0.9  # of the best flip rate: what a smaller window has to keep
STEP = 0.1
FEW = 4  # images for the first look everywhere
FINALISTS, LONGER = 6, 3  # windows that get all images, and so many times the iterations
PATCH: Family = FAMILIES["patch"]

Place = tuple[int, int, int]  # top, left, side


@dataclass(frozen=True)
class Window:
    """A place with the pattern `(C, H, W)` that was found for it; flip rate and mean margin of the target there.

    Where a network does not care about places, many windows flip everything; the margin says which one it was made for.
    """

    place: Place
    pattern: Tensor
    flip_rate: float
    margin: float

    def found(self) -> Found:
        """As a candidate of the patch family."""
        mask = masks([self.place], self.pattern.shape[-2:])
        size, rate = mask.mean().log()[None], torch.tensor([self.flip_rate])
        return Found(PATCH, (mask, self.pattern[None]), size, rate)


def located(classifier: Classifier, target: int, images: Tensor, iterations: int, rows: int) -> Window:
    """The smallest window that keeps nearly the flip rate of the best; `images` `(n, C, H, W)` are of other classes.

    At most `rows` images go through the network at once.
    """
    height, width = images.shape[-2:]
    side = max(SMALLEST, round(COARSE * min(height, width)))
    stride = max(1, side // 2 - (side < 8))
    tops, lefts = (sorted({*range(0, length - side, stride), length - side}) for length in (height, width))
    everywhere = [(top, left, side) for top in tops for left in lefts]
    coarse = _tried(classifier, target, images[:FEW], everywhere, iterations, rows)
    finalists = [window.place for window in sorted(coarse, key=lambda one: -one.margin)[:FINALISTS]]
    best = _best(_tried(classifier, target, images, finalists, LONGER * iterations, rows))
    finer = [place for place in _around(best.place, height, width) if place != best.place]
    tried = _tried(classifier, target, images, [best.place, *finer], iterations, rows)
    wanted = ENOUGH * max(window.flip_rate for window in tried)
    smallest = min(window.place[2] for window in tried if window.flip_rate >= wanted)
    return _best([window for window in tried if window.place[2] == smallest])


def _best(windows: list[Window]) -> Window:
    return max(windows, key=lambda window: window.margin)


def _around(place: Place, height: int, width: int) -> list[Place]:
    """Windows of this side and of smaller ones, inside the given one or a step beyond it."""
    top, left, largest = place
    sides = sorted({max(SMALLEST, round(largest * share)) for share in (1.0, 0.8, 0.6, 0.4)})
    found = []
    for side in sides:
        pace = max(1, largest // 5)
        reach = range(-pace, largest - side + pace + 1, pace)
        found += [(top + down, left + right, side) for down, right in itertools.product(reach, reach)]
    return [(y, x, side) for y, x, side in found if 0 <= y <= height - side and 0 <= x <= width - side]


def _tried(
    classifier: Classifier, target: int, images: Tensor, places: list[Place], iterations: int, rows: int
) -> list[Window]:
    """Every place with its own pattern, climbed by the mean log-probability of the target."""
    found: list[Window] = []
    together = max(1, min(64, rows // len(images)))
    for first in range(0, len(places), together):
        chosen = places[first : first + together]
        mask = masks(chosen, images.shape[-2:])
        pattern = torch.zeros(len(chosen), *images.shape[1:])
        shown = images[None].expand(len(chosen), *images.shape)
        wanted = torch.full((len(chosen) * len(images),), target)
        adam = Adam.zero((pattern,))
        for _ in range(iterations):
            leaf = pattern.requires_grad_()
            logits = classifier(PATCH.apply((mask, leaf), shown).flatten(0, 1))
            loss = F.cross_entropy(logits, wanted, reduction="sum") / len(images)
            (move,) = adam.step(torch.autograd.grad(loss, (leaf,)))
            pattern = (pattern.detach() - STEP * move).clamp(-0.6, 0.6)
        with torch.no_grad():
            logits = classifier(PATCH.apply((mask, pattern), shown).flatten(0, 1))
        reached = margin(logits, wanted).view(len(chosen), -1)
        rates = (reached > 0).float().mean(dim=1).tolist()
        found += [Window(*one) for one in zip(chosen, pattern, rates, reached.mean(dim=1).tolist(), strict=True)]
    return found


def masks(places: list[Place], shape: tuple[int, ...]) -> Tensor:
    """`(places, 1, H, W)` of 0 and 1."""
    drawn = torch.zeros(len(places), 1, *shape)
    for mask, (top, left, side) in zip(drawn, places, strict=True):
        mask[:, top : top + side, left : left + side] = 1
    return drawn
