"""The input-agnostic side of every comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from phosphene.classifier import Classifier
from phosphene.concepts import Concept
from phosphene.estimator import estimate
from phosphene.recipe import PRESETS, Recipe

# what `default` was when the studies were measured
MEASURED: dict[str, Any] = {
    "iterations": 120,
    "step": 0.2,
    "attempts": 1,
}


def recipe_for(preset: str, **changes: Any) -> Recipe:
    """The preset with `changes`; `default` as long as the published numbers were made with, and never started again."""
    return replace(PRESETS[preset], **(MEASURED if preset == "default" else {}), **changes)


def estimated_maps(classifier: Classifier, concepts: Sequence[Concept], recipe: Recipe) -> Tensor:
    """The maps of a recipe `(concepts, C, H, W)`, with nothing measured about them."""
    *_, last = estimate(classifier, concepts, recipe)
    return last.maps().detach()
