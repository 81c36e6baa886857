"""Refinement: from a faithful map to a readable picture, and only as far as fidelity allows.

A mask keeps the part of the map that the model responds to: mean positive activation of a feature map on the bare
picture, upsampled, soft Otsu threshold. Each of the deepest feature maps gives a few masks, from strict to loose; of
all of them the smallest that holds the law

    F(mask ⊙ m) ≥ (1 − ε) · F(m)

is taken. A map for which none of a useful area does stays as it is and says so.

Source: Akhtar & Jalwana, CVPR 2020 (mask), AAAI 2023; threshold: Otsu, IEEE Trans. SMC 1979.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from phosphene.classifier import Classifier
from phosphene.concepts import Concept
from phosphene.fidelity import Fidelity, fidelity, fidelity_from
from phosphene.reading import read
from phosphene.recipe import Recipe
from phosphene.sampling import COMPOSITIONS, CONTRAST, draw, place, seeded

LAYERS = 3  # deepest feature maps that are tried; shallower ones follow edges, not objects
LOOSENINGS = (1.0, 0.75, 0.5)  # factors on Otsu's threshold, strictest first
USEFUL_AREAS = (0.02, 0.75)  # a smaller mask is a speck, a larger one makes nothing easier to read
SOFTNESS = 0.12  # width of the threshold: a hard edge cuts objects up, and takes what others need to name them
IMPORTANCE_SAMPLES = 8
GREY = 0.5


@dataclass(frozen=True)
class Refinement:
    """A mask `(H, W)` in [0,1], the layer it comes from (None: unrefined), and fidelity before and after."""

    mask: Tensor
    layer: str | None
    area: float
    before: Fidelity
    after: Fidelity


def refine(
    classifier: Classifier,
    concepts: Sequence[Concept],
    maps: Tensor,
    recipe: Recipe,
    measured: Sequence[Fidelity] | None = None,
) -> list[Refinement]:
    """The smallest mask of each map `(N, C, H, W)` that the fidelity law accepts; `measured` is theirs, where known."""
    activations = feature_activations(classifier, bare_pictures(maps, recipe))
    if measured is None:
        measured = [fidelity(classifier, concept, one, recipe) for concept, one in zip(concepts, maps, strict=True)]
    return [
        _refined(classifier, concept, one, before, {layer: seen[row] for layer, seen in activations.items()}, recipe)
        for row, (concept, one, before) in enumerate(zip(concepts, maps, measured, strict=True))
    ]


def bare_pictures(maps: Tensor, recipe: Recipe, scale: Tensor | None = None) -> Tensor:
    """The maps on mid-grey, `(N, C, H, W)` in [0,1], scaled for display: nothing but what the model put there."""
    scale = display_scale(maps, recipe) if scale is None else scale
    return COMPOSITIONS[recipe.composition](torch.full_like(maps, GREY), maps * scale)


def display_scale(maps: Tensor, recipe: Recipe) -> Tensor:
    """Factors `(N, 1, 1, 1)` that give each map the contrast of a photograph; step 5 of the method, *scale*."""
    deviation = maps.flatten(1).std(dim=1, correction=0).view(-1, 1, 1, 1)
    return CONTRAST[recipe.composition] / deviation.clamp(min=1e-6)


def feature_activations(classifier: Classifier, pictures: Tensor) -> dict[str, Tensor]:
    """Mean positive activation `(N, h, w)` of the last layer of each of the `LAYERS` deepest sizes, deepest first."""
    height, width = classifier.format.size
    by_size: dict[tuple[int, ...], tuple[str, Tensor]] = {}
    for layer, activation in classifier.observed(pictures, mean_positive_activation).items():
        size = tuple(activation.shape[1:])
        if min(size) >= 4 and size[0] < height and size[1] < width:
            by_size.pop(size, None)
            by_size[size] = (layer, activation)
    return dict(list(reversed(by_size.values()))[:LAYERS])


def mean_positive_activation(output: Tensor) -> Tensor | None:
    """`(N, h, w)` from a feature map `(N, C, h, w)`, a channels-last one, or tokens `(N, T, C)` of a square grid."""
    if output.ndim == 4:
        channels_last = output.shape[1] == output.shape[2] != output.shape[3]
        return output.relu().mean(dim=3 if channels_last else 1)
    if output.ndim == 3:
        side = math.isqrt(output.shape[1])
        prefix = output.shape[1] - side * side  # class and register tokens come first
        if prefix <= 8 and side >= 4:
            return output[:, prefix:].relu().mean(dim=2).unflatten(1, (side, side))
    return None


def otsu_threshold(values: Tensor, bins: int = 256) -> float:
    """The threshold between two groups of values in [0,1] that leaves the least variance inside the groups."""
    histogram = torch.histc(values.float().cpu(), bins=bins, min=0.0, max=1.0)
    centres = (torch.arange(bins) + 0.5) / bins
    below = histogram.cumsum(0)
    above = histogram.sum() - below
    weighted = (histogram * centres).cumsum(0)
    mean_below = weighted / below.clamp(min=1)
    mean_above = (weighted[-1] - weighted) / above.clamp(min=1)
    between = below * above * (mean_below - mean_above).square()
    return centres[between.argmax()].item()


def importance(classifier: Classifier, concepts: Sequence[Concept], maps: Tensor, recipe: Recipe) -> Tensor:
    """Where the evidence is: positive part of the blurred `Σ_C m ⊙ ∂s/∂m` over fresh draws, `(N, H, W)` in [0,1]."""
    generators = [seeded(recipe.seed, f"importance/{concept.name}", 0) for concept in concepts]
    compose = COMPOSITIONS[recipe.composition]
    total = torch.zeros_like(maps)
    with classifier.frozen(), torch.enable_grad():
        moving = maps.detach().requires_grad_()
        for _ in range(IMPORTANCE_SAMPLES):
            draws = draw(recipe.distribution, recipe.views, generators, 1, classifier.image_shape)
            rows = read(classifier, compose(draws.samples.to(maps.device), place(moving, draws.views)), concepts)
            scores = [concept.score(row) for concept, row in zip(concepts, rows, strict=True)]
            total += torch.autograd.grad(torch.cat(scores).sum(), moving)[0]
    evidence = _blurred((maps * total).sum(dim=1, keepdim=True)).clamp(min=0)[:, 0]
    return evidence / evidence.amax(dim=(1, 2), keepdim=True).clamp(min=1e-30)


def _refined(
    classifier: Classifier,
    concept: Concept,
    saliency: Tensor,
    before: Fidelity,
    activations: dict[str, Tensor],
    recipe: Recipe,
) -> Refinement:
    candidates = [
        (mask.mean().item(), layer, mask)
        for layer, activation in activations.items()
        for mask in masks(activation, classifier.format.size)
    ]
    for area, layer, mask in sorted(candidates, key=lambda candidate: candidate[0]):
        if not USEFUL_AREAS[0] <= area <= USEFUL_AREAS[1]:
            continue
        after = fidelity_from(classifier, concept, mask * saliency, recipe, least(before, recipe.tolerance))
        if after is not None and keeps(before, after, recipe.tolerance):
            return Refinement(mask, layer, area, before, after)
    return Refinement(torch.ones_like(saliency[0]), None, 1.0, before, before)


def keeps(before: Fidelity, after: Fidelity, tolerance: float) -> bool:
    """The refinement law, for the mean probability and for the top-1 rate."""
    floor = least(before, tolerance)
    return after.probability >= floor.probability and after.top1 >= floor.top1


def least(before: Fidelity, tolerance: float) -> Fidelity:
    """The least fidelity that the law grants a refined map."""
    return Fidelity((1 - tolerance) * before.probability, (1 - tolerance) * before.top1)


def masks(activation: Tensor, size: tuple[int, int]) -> list[Tensor]:
    """Soft Otsu masks `(H, W)` of one activation `(h, w)`, strictest first."""
    smooth = F.interpolate(activation[None, None], size=size, mode="bicubic", align_corners=False)[0, 0].clamp(min=0)
    scaled = smooth / smooth.max().clamp(min=1e-30)
    threshold = otsu_threshold(scaled)
    return [torch.sigmoid((scaled - loosened * threshold) / SOFTNESS) for loosened in LOOSENINGS]


def _blurred(planes: Tensor) -> Tensor:
    """Gaussian blur of `(N, 1, H, W)` with a standard deviation of 1/40 of the side."""
    sigma = max(planes.shape[-2:]) / 40
    reach = math.ceil(3 * sigma)
    profile = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=planes.device) / sigma).square())
    profile = profile / profile.sum()
    rows = F.conv2d(planes, profile.view(1, 1, 1, -1), padding=(0, reach))
    return F.conv2d(rows, profile.view(1, 1, -1, 1), padding=(reach, 0))
