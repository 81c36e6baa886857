"""The input-agnostic side of every comparison."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from phosphene.classifier import Classifier
from phosphene.concepts import Concept
from phosphene.estimator import estimate
from phosphene.recipe import Recipe


def estimated_maps(classifier: Classifier, concepts: Sequence[Concept], recipe: Recipe) -> Tensor:
    """The maps of a recipe `(concepts, C, H, W)`, with nothing measured about them."""
    *_, last = estimate(classifier, concepts, recipe)
    return last.maps().detach()
