"""Stamps that change the prediction of any photograph to B, and for how many photographs they do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from phosphene.model.classifier import Classifier
from phosphene.recipe.compositions import compose_clip
from phosphene.recipe.concepts import Concept
from phosphene.recipe.distributions import Distribution
from phosphene.recipe.geometries import Pixel
from phosphene.recipe.recipe import Recipe
from phosphene.recipe.views import STILL
from phosphene.studies.agnostic import estimate_maps

LEVEL = 1 / 255  # one step of an 8-bit pixel, the unit of strengths


def estimate_stamps(
    classifier: Classifier,
    concepts: Sequence[Concept],
    distribution: Distribution,
    strength: float,
    iterations: int,
    seed: int,
) -> Tensor:
    """A map for each class `(classes, C, H, W)` of root mean square `strength` levels, the same for all samples.

    The study uses those estimated on the photographs: within so small a ball one estimated on noise has no effect.
    """
    radius = strength * LEVEL * math.prod(classifier.image_shape) ** 0.5
    recipe = Recipe(
        distribution=distribution,
        views=STILL,
        composition="clip",
        score="margin",
        geometry=Pixel(radius),
        iterations=iterations,
        step=0.0015,
        average_last=0.3,
        seed=seed,
    )
    return estimate_maps(classifier, concepts, recipe)


def measure_reach(
    classifier: Classifier,
    concepts: Sequence[Concept],
    images: Tensor,
    tried: Mapping[str, Sequence[tuple[Tensor, float]]],
) -> list[dict[str, Any]]:
    """For how many pairs of photograph and class the prediction becomes the class, by kind and strength of stamp."""
    own = predict_classes(classifier, images)
    rows = []
    for kind, versions in tried.items():
        for maps, strength in versions:
            stamps = scale_to_strength(maps, strength)
            rows.append({"made": kind, "strength": strength, **_count(classifier, concepts, images, own, stamps)})
    return rows


def _count(
    classifier: Classifier, concepts: Sequence[Concept], images: Tensor, own: Tensor, stamps: Tensor
) -> dict[str, Any]:
    """Photographs for which B is predicted without a stamp are not counted."""
    hits, psnr = [], []
    for concept, stamp in zip(concepts, stamps, strict=True):
        stamped, target = compose_clip(images, stamp[None]), concept.targets[0]
        hits += (predict_classes(classifier, stamped) == target)[own != target].tolist()
        psnr += [measure_psnr(*pair) for pair in zip(images, stamped, strict=True)]
    return {"turned": sum(hits), "of": len(hits), "psnr": sum(psnr) / len(psnr)}


def scale_to_strength(maps: Tensor, strength: float) -> Tensor:
    """The maps `(N, C, H, W)` scaled to a root mean square of `strength` levels."""
    return maps * (strength * LEVEL / maps.square().mean(dim=(1, 2, 3), keepdim=True).sqrt())


def predict_classes(classifier: Classifier, images: Tensor) -> Tensor:
    with torch.no_grad():
        return classifier(images).argmax(dim=1)


def measure_psnr(image: Tensor, stamped: Tensor) -> float:
    """Peak signal-to-noise ratio in dB: 20 log₁₀ of the range over the root mean square of the change."""
    return -10 * math.log10(max(float((stamped - image).square().mean()), 1e-12))


def measure_energy(stamp: Tensor) -> Tensor:
    """Squared values of a stamp `(C, H, W)`, summed over channels: `(H, W)`."""
    return stamp.square().sum(dim=0)
