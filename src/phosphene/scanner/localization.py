"""Is the trigger one small square? The smallest window in which some pattern does what the candidate does.

A mask that is optimised pixel by pixel settles on a few pixels of a trigger and a few of chance. A window shows where
the trigger lies: every place is tried with a pattern of its own, then the squares inside the best windows, by what the
pattern does when the rest of it is taken away.

It is looked for on smooth noise (`surrogates.draw_smooth_noise`), not on surrogates. An image that is its class through
and through resists a trigger as much as it does chance, so that many windows do about as well; noise gives way to the
trigger alone (`benchmarks/patch_places.py`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

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
SHARES = (1 / 3, 1 / 2, 2 / 3, 5 / 6, 1.0)  # of a window's side: the squares inside it
MIN_SIDE = 2  # pixels
FINALISTS = 32  # windows whose squares are tried, at most
FINALISTS_PER_ITERATION = 2  # so that a budget shortens this, too
KEPT = 4  # squares of each side that are optimised again
LONGER = 2  # times the iterations for these
KEPT_MARGIN = 0.6  # of the largest side's best margin: what a smaller square has to keep
STEP = 0.1
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
        return Candidates(PATCH, (mask, mask * self.pattern), size, rate)  # nothing of the window around the square


def localize_patch(classifier: Classifier, target: int, images: Tensor, iterations: int) -> Window:
    """The smallest square whose mean margin is at least 60% of the best of the largest ones; `images` `(n, C, H, W)`
    are not predicted as the target."""
    height, width = images.shape[-2:]
    coarse = [_start(place, images.shape[1:]) for place in list_coarse(height, width)]
    coarse = _search_windows(classifier, target, images, coarse, iterations)
    best = sorted(coarse, key=lambda one: -one.margin)[: _count_finalists(iterations)]
    squares = []
    for side in list_sides(best[0].place[2]):
        inside = [Window(place, one.pattern, 0.0, 0.0) for one in best for place in list_squares(one.place, side)]
        judged = _judge_windows(classifier, target, images, inside)
        squares += _take_best({one.place: one for one in sorted(judged, key=lambda one: one.margin)}.values())
    found = _search_windows(classifier, target, images, squares, LONGER * iterations)
    largest = max(one.place[2] for one in found)
    wanted = KEPT_MARGIN * max(one.margin for one in found if one.place[2] == largest)
    side = min(one.place[2] for one in found if one.margin >= wanted or one.place[2] == largest)
    return max((one for one in found if one.place[2] == side), key=lambda one: one.margin)


def count_passes(size: ModelSize, images: int, iterations: int) -> int:
    """About what `localize_patch` costs; nothing of no iterations."""
    if not iterations:
        return 0
    coarse = list_coarse(*size.image_shape[1:])
    sides = list_sides(coarse[0][2])
    squares = sum(len(list_squares(coarse[0], side)) for side in sides) * min(_count_finalists(iterations), len(coarse))
    again = KEPT * len(sides)
    searches = len(coarse) * iterations + again * LONGER * iterations
    return images * searches + forward_cost(images * (len(coarse) + squares + again))


def _count_finalists(iterations: int) -> int:
    return min(FINALISTS, FINALISTS_PER_ITERATION * iterations)


def list_coarse(height: int, width: int) -> list[Place]:
    """Overlapping windows that cover the image."""
    side = max(MIN_SIDE, round(COARSE_SIDE * min(height, width)))
    stride = max(1, side // 2)
    tops, lefts = (sorted({*range(0, length - side, stride), length - side}) for length in (height, width))
    return [(top, left, side) for top, left in itertools.product(tops, lefts)]


def list_sides(largest: int) -> list[int]:
    """Sides of the squares inside a window, and its own."""
    return sorted({max(MIN_SIDE, round(largest * share)) for share in SHARES})


def list_squares(place: Place, side: int) -> list[Place]:
    """Squares of a side inside a window."""
    top, left, largest = place
    steps = range(0, largest - side + 1, max(1, largest // 6))
    return [(top + down, left + across, side) for down, across in itertools.product(steps, steps)]


def _start(place: Place, shape: Sequence[int]) -> Window:
    return Window(place, torch.zeros(*shape), 0.0, 0.0)


def _take_best(windows: Iterable[Window]) -> list[Window]:
    return sorted(windows, key=lambda one: -one.margin)[:KEPT]


def _search_windows(
    classifier: Classifier, target: int, images: Tensor, windows: Sequence[Window], iterations: int
) -> list[Window]:
    """Every place with a pattern that climbed the mean log-probability of the target from the one given."""
    searched = []
    for part in _split(classifier, images, windows):
        mask, pattern, shown, wanted = _lay_out(target, images, part)
        adam = make_adam([pattern])
        for _ in range(iterations):
            logits = classifier(PATCH.apply((mask, pattern), shown).flatten(0, 1))
            loss = F.cross_entropy(logits, wanted, reduction="sum") / len(images)
            descend(adam, loss, STEP)
            pattern.detach().clamp_(-MAX_PATTERN, MAX_PATTERN)
        searched += [replace(one, pattern=found) for one, found in zip(part, pattern.detach(), strict=True)]
    return _judge_windows(classifier, target, images, searched)


@torch.no_grad()
def _judge_windows(classifier: Classifier, target: int, images: Tensor, windows: Sequence[Window]) -> list[Window]:
    """The windows with their flip rates and margins."""
    judged = []
    for part in _split(classifier, images, windows):
        mask, pattern, shown, wanted = _lay_out(target, images, part)
        margins = margin(classifier(PATCH.apply((mask, pattern), shown).flatten(0, 1)), wanted).view(len(part), -1)
        rates, means = (margins > 0).float().mean(dim=1).tolist(), margins.mean(dim=1).tolist()
        judged += [Window(one.place, one.pattern, *told) for one, *told in zip(part, rates, means, strict=True)]
    return judged


def _split(classifier: Classifier, images: Tensor, windows: Sequence[Window]) -> Iterator[Sequence[Window]]:
    """So many windows as go through the network together."""
    count = max(1, min(MAX_WINDOWS, ModelSize.of(classifier).images_per_pass // len(images)))
    return (windows[first : first + count] for first in range(0, len(windows), count))


def _lay_out(target: int, images: Tensor, windows: Sequence[Window]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Masks and patterns of the windows, the images of each, and the class that all are to become."""
    mask = draw_masks([one.place for one in windows], images.shape[-2:])
    pattern = torch.stack([one.pattern for one in windows])
    shown = images[None].expand(len(windows), *images.shape)
    return mask, pattern, shown, torch.full((len(windows) * len(images),), target)


def draw_masks(places: Sequence[Place], shape: tuple[int, ...]) -> Tensor:
    """`(places, 1, H, W)` of 0 and 1."""
    masks = torch.zeros(len(places), 1, *shape)
    for mask, (top, left, side) in zip(masks, places, strict=True):
        mask[:, top : top + side, left : left + side] = 1
    return masks
