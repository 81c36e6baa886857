"""Stamps that make any photograph be called B, and how far they reach."""

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
from phosphene.studies.agnostic import estimated_maps

LEVEL = 1 / 255  # one step of an 8-bit pixel: the unit in which strengths are said


def stamps_of(
    classifier: Classifier,
    concepts: Sequence[Concept],
    drawn: Distribution,
    strength: float,
    iterations: int,
    seed: int,
) -> Tensor:
    """A map for each class `(classes, C, H, W)` of root mean square `strength` levels: one for all that is drawn.

    Those that are used are made on the photographs themselves: within so small a ball one made on noise turns nothing.
    """
    radius = strength * LEVEL * math.prod(classifier.image_shape) ** 0.5
    recipe = Recipe(distribution=drawn, views=STILL, composition="clip", score="margin", geometry=Pixel(radius),
                    iterations=iterations, step=0.0015, average_last=0.3, seed=seed)  # fmt: skip
    return estimated_maps(classifier, concepts, recipe)


def reach(
    classifier: Classifier, concepts: Sequence[Concept], images: Tensor,
    tried: Mapping[str, Sequence[tuple[Tensor, float]]],
) -> list[dict[str, Any]]:  # fmt: skip
    """How many pairs of photograph and class become the class, by what the stamps are and by their strength."""
    own = called(classifier, images)
    return [
        {"made": made, "strength": strength, **_turned(classifier, concepts, images, own, at_strength(maps, strength))}
        for made, strengths in tried.items() for maps, strength in strengths
    ]  # fmt: skip


def _turned(
    classifier: Classifier, concepts: Sequence[Concept], images: Tensor, own: Tensor, stamps: Tensor
) -> dict[str, Any]:
    """A photograph that is called B without a stamp is no case."""
    hits, seen = [], []
    for concept, stamp in zip(concepts, stamps, strict=True):
        stamped, target = compose_clip(images, stamp[None]), concept.targets[0]
        hits += (called(classifier, stamped) == target)[own != target].tolist()
        seen += [decibels(*pair) for pair in zip(images, stamped, strict=True)]
    return {"turned": sum(hits), "of": len(hits), "psnr": sum(seen) / len(seen)}


def at_strength(maps: Tensor, strength: float) -> Tensor:
    """The maps `(N, C, H, W)` scaled to a root mean square of `strength` levels."""
    return maps * (strength * LEVEL / maps.square().mean(dim=(1, 2, 3), keepdim=True).sqrt())


def called(classifier: Classifier, images: Tensor) -> Tensor:
    with torch.no_grad():
        return classifier(images).argmax(dim=1)


def decibels(image: Tensor, stamped: Tensor) -> float:
    """Peak signal to noise: 20 log₁₀ of the range over the root mean square of the change."""
    return -10 * math.log10(max(float((stamped - image).square().mean()), 1e-12))


def energy(stamp: Tensor) -> Tensor:
    """Where a stamp `(C, H, W)` is strong, `(H, W)`."""
    return stamp.square().sum(dim=0)
