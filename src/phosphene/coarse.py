"""Coarse to fine: the first iterations on images of half the side, whose passes cost a quarter.

What an object is and where it stands is decided early and does not need every pixel; the later iterations, at full
size, start from the coarse map and draw the rest. A network has to know what it sees at half the size, so the coarse
stage is left out

- where half the side is below `SMALLEST`: networks of small images have no pixels to spare,
- where the network takes images of its own size only, as most vision transformers do,
- for channels of a layer: their patterns are so and so many pixels large, and would be enlarged with the map.

Some classes the network does not know at half the size, or not from where a map began. Own fidelity tells, at half the
size and before a single pass of full size: below `SEEN` the coarse map is dropped, and the iterations of the stage are
made anew at full size (`phosphene.estimator`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from weakref import WeakKeyDictionary

import torch.nn.functional as F
from torch import Tensor

from phosphene.classifier import Classifier
from phosphene.concepts import Concept, layer_of
from phosphene.errors import FailedCheck
from phosphene.geometry import ImageShape
from phosphene.recipe import Recipe

SMALLEST = 96  # pixels of the shorter side, below which nothing is made coarser
SEEN = 0.5  # own fidelity at half the size, as a mean probability, below which a coarse map is dropped

_halves: WeakKeyDictionary[Classifier, Classifier | None] = WeakKeyDictionary()


def stages(classifier: Classifier, concepts: Sequence[Concept], recipe: Recipe) -> Iterator[tuple[Classifier, range]]:
    """The classifier at half the size, where there is such a stage, and at full size, each with its iterations."""
    early = round(recipe.coarse * recipe.iterations)
    half = half_size(classifier) if early and all(layer_of(concept) is None for concept in concepts) else None
    if half is not None:
        yield half, range(early)
    yield classifier, range(0 if half is None else early, recipe.iterations)


def share_of_pixels(model: Classifier, classifier: Classifier) -> float:
    """What a pass of `model` counts beside one of `classifier`, in (0,1]."""
    (height, width), (full_height, full_width) = model.format.size, classifier.format.size
    return height * width / (full_height * full_width)


def half_size(classifier: Classifier) -> Classifier | None:
    """The same network on images of half the side, as many a pass; None where it does not take them."""
    if classifier not in _halves:
        height, width = (side // 2 for side in classifier.format.size)
        try:
            _halves[classifier] = classifier.at_size((height, width)) if min(height, width) >= SMALLEST else None
        except FailedCheck:
            _halves[classifier] = None
    half = _halves[classifier]
    if half is not None:
        half.rows_a_pass = classifier.rows_a_pass  # which is halved where memory is short
    return half


def at_size(maps: Tensor, shape: ImageShape) -> Tensor:
    """The maps `(N, C, h, w)` enlarged to `(N, *shape)`; the very same where they have that size."""
    if maps.shape[2:] == shape[1:]:
        return maps
    return F.interpolate(maps, size=shape[1:], mode="bicubic", align_corners=False)
