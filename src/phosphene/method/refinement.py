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

from phosphene.method.fidelity import Fidelity, measure_fidelity, measure_fidelity_above
from phosphene.method.scaling import render_pictures
from phosphene.model.classifier import Classifier
from phosphene.model.layout_search import find_layouts
from phosphene.recipe.concepts import Concept
from phosphene.recipe.recipe import Recipe

LAYERS = 3  # deepest feature maps that are tried; shallower ones follow edges, not objects
LOOSENINGS = (1.0, 0.75, 0.5)  # factors on Otsu's threshold, strictest first
USEFUL_AREAS = (0.02, 0.75)  # a smaller mask is a speck, a larger one makes nothing easier to read
SOFTNESS = 0.12  # width of the threshold: a hard edge cuts objects up, and takes what others need to name them


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
    activations = feature_activations(classifier, render_pictures(maps, recipe))
    if measured is None:
        measured = [
            measure_fidelity(classifier, concept, one, recipe) for concept, one in zip(concepts, maps, strict=True)
        ]
    return [
        _refined(classifier, concept, one, before, {layer: seen[row] for layer, seen in activations.items()}, recipe)
        for row, (concept, one, before) in enumerate(zip(concepts, maps, measured, strict=True))
    ]


def feature_activations(classifier: Classifier, pictures: Tensor) -> dict[str, Tensor]:
    """Mean positive activation `(N, h, w)` of the last layer of each of the `LAYERS` deepest sizes, deepest first."""
    height, width = classifier.format.size
    by_size: dict[tuple[int, ...], tuple[str, Tensor]] = {}
    seen = classifier.observe_layers(pictures, mean_positive_activation, find_layouts(classifier))
    for layer, activation in seen.items():
        size = tuple(activation.shape[1:])
        if min(size) >= 4 and size[0] < height and size[1] < width:
            by_size.pop(size, None)
            by_size[size] = (layer, activation)
    return dict(list(reversed(by_size.values()))[:LAYERS])


def mean_positive_activation(output: Tensor) -> Tensor | None:
    """`(N, h, w)` from a feature map `(N, C, h, w)`, or from tokens `(N, C, T)` of a square grid."""
    if output.ndim == 4:
        return output.float().relu().mean(dim=1)
    if output.ndim == 3:
        side = math.isqrt(output.shape[2])
        prefix = output.shape[2] - side * side  # class and register tokens come first
        if prefix <= 8 and side >= 4:
            return output[:, :, prefix:].float().relu().mean(dim=1).unflatten(1, (side, side))
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
        for mask in make_masks(activation, classifier.format.size)
    ]
    for area, layer, mask in sorted(candidates, key=lambda candidate: candidate[0]):
        if not USEFUL_AREAS[0] <= area <= USEFUL_AREAS[1]:
            continue
        after = measure_fidelity_above(
            classifier, concept, mask * saliency, recipe, minimum_fidelity(before, recipe.tolerance)
        )
        if after is not None and keeps_fidelity(before, after, recipe.tolerance):
            return Refinement(mask, layer, area, before, after)
    return Refinement(torch.ones_like(saliency[0]), None, 1.0, before, before)


def keeps_fidelity(before: Fidelity, after: Fidelity, tolerance: float) -> bool:
    """The refinement law, for the mean probability and for the top-1 rate."""
    floor = minimum_fidelity(before, tolerance)
    return after.probability >= floor.probability and after.top1 >= floor.top1


def minimum_fidelity(before: Fidelity, tolerance: float) -> Fidelity:
    """The least fidelity that the law grants a refined map."""
    return Fidelity((1 - tolerance) * before.probability, (1 - tolerance) * before.top1)


def make_masks(activation: Tensor, size: tuple[int, int]) -> list[Tensor]:
    """Soft Otsu masks `(H, W)` of one activation `(h, w)`, strictest first."""
    smooth = F.interpolate(activation[None, None], size=size, mode="bicubic", align_corners=False)[0, 0].clamp(min=0)
    scaled = smooth / smooth.max().clamp(min=1e-30)
    threshold = otsu_threshold(scaled)
    return [torch.sigmoid((scaled - loosened * threshold) / SOFTNESS) for loosened in LOOSENINGS]
