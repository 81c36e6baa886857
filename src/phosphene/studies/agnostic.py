"""The input-agnostic side of every comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from phosphene.method.multires import estimate
from phosphene.model.classifier import Classifier
from phosphene.recipe.concepts import Concept
from phosphene.recipe.recipe import PRESETS, Recipe


def make_recipe(preset: str, **changes: Any) -> Recipe:
    """The preset with `changes`, at full size and without restarts: a map that fails is a result of the study too."""
    return replace(PRESETS[preset], restarts=1, coarse=0.0, **changes)


def estimate_maps(classifier: Classifier, concepts: Sequence[Concept], recipe: Recipe) -> Tensor:
    """The maps of a recipe `(concepts, C, H, W)`, without any scores."""
    *_, last = estimate(classifier, concepts, recipe)
    return last.maps().detach()
