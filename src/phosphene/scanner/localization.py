"""Is the trigger one small square? The smallest window in which some pattern does what the candidate does.

A mask that is optimised pixel by pixel settles on a few pixels of a trigger and a few of chance. A window shows where
the trigger lies: every place is tried with a pattern of its own, then smaller windows around the best one.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from phosphene.model.classifier import Classifier
from phosphene.scanner.families import FAMILIES, MAX_PATTERN, Family
from phosphene.scanner.margins import margin
from phosphene.scanner.model_size import ModelSize, forward_cost
from phosphene.scanner.optimizer import descend, make_adam
from phosphene.scanner.search import Candidates

COARSE_SIDE = 0.18  # of the first windows, as a share of the image's side
FINER_SIDES = (1.0, 0.8, 0.6, 0.4)  # shares of the best window's side
MIN_SIDE = 2  # pixels
KEPT_RATE = 0.9  # of the best flip rate: what a smaller window has to keep
STEP = 0.1
COARSE_IMAGES = 4  # that every place is tried on first
FINALISTS, FINALIST_ITERATIONS = 6, 3  # windows that get all images, and so many times the iterations
MAX_WINDOWS = 64  # that are searched together
PATCH: Family = FAMILIES["patch"]

Place = tuple[int, int, int]  # top, left, side


@dataclass(frozen=True)
class Window:
    """A place with the pattern `(C, H, W)` that was found for it; flip rate and mean margin of the target there.

    Where a network does not depend on the place, many windows flip everything; the margin says which is the best.
    """

    place: Place
    pattern: Tensor
    flip_rate: float
    margin: float

    def as_candidate(self) -> Candidates:
        """Of the patch family."""
        mask = draw_masks([self.place], self.pattern.shape[-2:])
        size, rate = mask.mean().log()[None], torch.tensor([self.flip_rate])
        return Candidates(PATCH, (mask, self.pattern[None]), size, rate)


def localize_patch(classifier: Classifier, target: int, images: Tensor, iterations: int) -> Window:
    """Smallest square whose flip rate is at least 90% of the best; `images` `(n, C, H, W)` are of other classes."""
    height, width = images.shape[-2:]
    coarse = _search_windows(classifier, target, images[:COARSE_IMAGES], list_coarse(height, width), iterations)
    finalists = [window.place for window in sorted(coarse, key=lambda one: -one.margin)[:FINALISTS]]
    best = _best_of(_search_windows(classifier, target, images, finalists, FINALIST_ITERATIONS * iterations))
    finer = [place for place in list_finer(best.place, height, width) if place != best.place]
    windows = _search_windows(classifier, target, images, [best.place, *finer], iterations)
    wanted = KEPT_RATE * max(window.flip_rate for window in windows)
    smallest = min(window.place[2] for window in windows if window.flip_rate >= wanted)
    return _best_of([window for window in windows if window.place[2] == smallest])


def count_passes(size: ModelSize, images: int, iterations: int) -> int:
    """About what `localize_patch` costs: the windows around one in the middle stand for those around the best."""
    height, width = size.image_shape[1:]
    coarse = list_coarse(height, width)
    side = coarse[0][2]
    finer = len(list_finer(((height - side) // 2, (width - side) // 2, side), height, width))
    rounds = (
        (len(coarse), COARSE_IMAGES, iterations),
        (min(FINALISTS, len(coarse)), images, FINALIST_ITERATIONS * iterations),
        (finer, images, iterations),
    )
    searches = sum(windows * shown * steps for windows, shown, steps in rounds)
    return searches + forward_cost(sum(windows * shown for windows, shown, _ in rounds))


def list_coarse(height: int, width: int) -> list[Place]:
    """Overlapping windows that cover the image."""
    side = max(MIN_SIDE, round(COARSE_SIDE * min(height, width)))
    stride = max(1, side // 2 - (side < 8))
    tops, lefts = (sorted({*range(0, length - side, stride), length - side}) for length in (height, width))
    return [(top, left, side) for top, left in itertools.product(tops, lefts)]


def list_finer(place: Place, height: int, width: int) -> list[Place]:
    """Windows of this side and of smaller ones, inside the given one or a step beyond it."""
    top, left, largest = place
    stride = max(1, largest // 5)
    places = []
    for side in sorted({max(MIN_SIDE, round(largest * share)) for share in FINER_SIDES}):
        shifts = range(-stride, largest - side + stride + 1, stride)
        places += [(top + down, left + across, side) for down, across in itertools.product(shifts, shifts)]
    return [(y, x, side) for y, x, side in places if 0 <= y <= height - side and 0 <= x <= width - side]


def _best_of(windows: Sequence[Window]) -> Window:
    return max(windows, key=lambda window: window.margin)


def _search_windows(
    classifier: Classifier, target: int, images: Tensor, places: Sequence[Place], iterations: int
) -> list[Window]:
    """Every place with a pattern of its own."""
    per_pass = max(1, min(MAX_WINDOWS, ModelSize.of(classifier).images_per_pass // len(images)))
    windows: list[Window] = []
    for first in range(0, len(places), per_pass):
        windows += _search_together(classifier, target, images, places[first : first + per_pass], iterations)
    return windows


def _search_together(
    classifier: Classifier, target: int, images: Tensor, places: Sequence[Place], iterations: int
) -> list[Window]:
    """Patterns that climbed the mean log-probability of the target."""
    mask = draw_masks(places, images.shape[-2:])
    pattern = torch.zeros(len(places), *images.shape[1:])
    shown = images[None].expand(len(places), *images.shape)
    wanted = torch.full((len(places) * len(images),), target)
    adam = make_adam([pattern])
    for _ in range(iterations):
        logits = classifier(PATCH.apply((mask, pattern), shown).flatten(0, 1))
        loss = F.cross_entropy(logits, wanted, reduction="sum") / len(images)
        descend(adam, loss, STEP)
        pattern.detach().clamp_(-MAX_PATTERN, MAX_PATTERN)
    pattern = pattern.detach()
    with torch.no_grad():
        logits = classifier(PATCH.apply((mask, pattern), shown).flatten(0, 1))
    margins = margin(logits, wanted).view(len(places), -1)
    rates = (margins > 0).float().mean(dim=1).tolist()
    return [Window(*one) for one in zip(places, pattern, rates, margins.mean(dim=1).tolist(), strict=True)]


def draw_masks(places: Sequence[Place], shape: tuple[int, ...]) -> Tensor:
    """`(places, 1, H, W)` of 0 and 1."""
    masks = torch.zeros(len(places), 1, *shape)
    for mask, (top, left, side) in zip(masks, places, strict=True):
        mask[:, top : top + side, left : left + side] = 1
    return masks
