"""The package's presets: the estimate alone, and the bare picture of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from benchmarks.estimates import estimate_best_maps
from phosphene.method.scaling import render_pictures
from phosphene.model.classifier import Classifier
from phosphene.recipe.grammar import parse
from phosphene.recipe.recipe import PRESETS


@dataclass(frozen=True)
class Preset:
    """A preset by its name; as many classes together as a pass of the network has rows."""

    name: str
    together: int = 4

    def __call__(self, classifier: Classifier, classes: Sequence[int], seed: int) -> list[Tensor]:
        recipe = replace(PRESETS[self.name], seed=seed)
        concepts = [parse(str(index), classifier.labels, scored=recipe.score) for index in classes]
        return list(render_pictures(estimate_best_maps(classifier, concepts, recipe), recipe))
