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


def recipe_for(preset: str, **changes: Any) -> Recipe:
    """The preset with `changes`, at full size and never started again: a map that goes astray is a finding too."""
    return replace(PRESETS[preset], restarts=1, coarse=0.0, **changes)


def estimated_maps(classifier: Classifier, concepts: Sequence[Concept], recipe: Recipe) -> Tensor:
    """The maps of a recipe `(concepts, C, H, W)`, with nothing measured about them."""
    *_, last = estimate(classifier, concepts, recipe)
    return last.maps().detach()
