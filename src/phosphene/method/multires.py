"""Coarse to fine: the first iterations on images of half the side, whose passes cost a quarter.

What an object is and where it stands is decided early and does not need every pixel; the later iterations, at full
size, start from the coarse map and draw the rest. A network has to know what it sees at half the size, so the coarse
stage is left out

- where half the side is below `SMALLEST`: networks of small images have no pixels to spare,
- where the network takes images of its own size only, as most vision transformers do,
- for channels of a layer: their patterns are so and so many pixels large, and would be enlarged with the map.

Some classes the network does not know at half the size, or not from where a map began. Own fidelity tells, at half the
size and before a single pass of full size: below `DROP_BELOW` the coarse map is dropped, and the iterations of the
stage are made anew at full size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from phosphene.core.images import ImageShape
from phosphene.errors import FailedCheck
from phosphene.method.fidelity import measure_fidelity
from phosphene.method.loop import Progress, Refine, iterate
from phosphene.model.classifier import Classifier
from phosphene.recipe.concepts import Concept, layer_of, score_by
from phosphene.recipe.recipe import Recipe

SMALLEST = 96  # pixels of the shorter side, below which nothing is made coarser
DROP_BELOW = 0.5  # own fidelity at half the size, as a mean probability, below which a coarse map is dropped


def estimate(
    classifier: Classifier,
    concepts: Sequence[Concept],
    recipe: Recipe,
    refine: Refine | None = None,
    restart: int = 0,
) -> Iterator[Progress]:
    """The iterations of `phosphene.method.loop`, the first `recipe.coarse` of them at half the size where that can be.

    Yields a `Progress` an iteration; the last one carries the finished maps. A coarse stage that is made anew shows in
    `passes` alone. `refine` is applied at full size only.
    """
    concepts = [score_by(concept, recipe.score) for concept in concepts]
    *coarse_stage, (_, fine) = plan_stages(classifier, concepts, recipe)
    maps, spent = None, torch.zeros(len(concepts))
    for half, coarse in coarse_stage:
        for progress in iterate(half, concepts, recipe, iterations=coarse, restart=restart):
            spent = progress.passes * pixel_share(half, classifier)
            yield replace(progress, passes=spent, decode=partial(_decode_enlarged, progress, classifier.image_shape))
        maps, remade = _remake_unseen(classifier, half, concepts, recipe, progress.maps(), coarse, restart)
        spent = spent + remade
    for progress in iterate(classifier, concepts, recipe, iterations=fine, start=maps, refine=refine, restart=restart):
        yield replace(progress, passes=spent + progress.passes)


def plan_stages(classifier: Classifier, concepts: Sequence[Concept], recipe: Recipe) -> list[tuple[Classifier, range]]:
    """The classifier at half the size, where there is such a stage, and at full size, each with its iterations."""
    early = round(recipe.coarse * recipe.iterations)
    half = half_size(classifier) if early and all(layer_of(concept) is None for concept in concepts) else None
    if half is None:
        return [(classifier, range(recipe.iterations))]
    return [(half, range(early)), (classifier, range(early, recipe.iterations))]


def _remake_unseen(
    classifier: Classifier,
    half: Classifier,
    concepts: Sequence[Concept],
    recipe: Recipe,
    coarse: Tensor,
    iterations: range,
    restart: int,
) -> tuple[Tensor, Tensor]:
    """The coarse maps enlarged or, where `half` does not see its concept, made anew at full size; passes of that."""
    maps, passes = enlarge(coarse, classifier.image_shape), torch.zeros(len(concepts))
    single = classifier.replace(batch_size=min(recipe.samples, classifier.batch_size))
    for row, concept in enumerate(concepts):
        if measure_fidelity(half, concept, coarse[row], recipe).probability < DROP_BELOW:
            *_, last = iterate(single, [concept], recipe, iterations=iterations, restart=restart)
            maps[row], passes[row] = last.maps()[0], last.passes[0]
    return maps, passes


def half_size(classifier: Classifier) -> Classifier | None:
    """The same network on images of half the side, with the same batch size; None where it does not take them."""
    half = classifier.cache.get("half size", lambda: _half_size(classifier))
    return half


def _half_size(classifier: Classifier) -> Classifier | None:
    height, width = (side // 2 for side in classifier.format.size)
    if min(height, width) < SMALLEST:
        return None
    try:
        return classifier.resize((height, width))
    except FailedCheck:
        return None


def pixel_share(half: Classifier, classifier: Classifier) -> float:
    """What a pass of `half` counts beside one of `classifier`, in (0,1]."""
    (height, width), (full_height, full_width) = half.format.size, classifier.format.size
    return height * width / (full_height * full_width)


def enlarge(maps: Tensor, shape: ImageShape) -> Tensor:
    """The maps `(N, C, h, w)` as `(N, *shape)`; the very same where they have that size."""
    if maps.shape[2:] == shape[1:]:
        return maps
    return F.interpolate(maps, size=shape[1:], mode="bicubic", align_corners=False)


def _decode_enlarged(progress: Progress, shape: ImageShape, coefficients: Tensor) -> Tensor:
    return enlarge(progress.decode(coefficients), shape)
