"""The package's presets: the estimate alone, and the bare picture of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from phosphene.classifier import Classifier
from phosphene.concepts import parse
from phosphene.estimator import estimate
from phosphene.recipe import PRESETS
from phosphene.refinement import bare_pictures


@dataclass(frozen=True)
class Preset:
    """A preset by its name; as many classes together as a pass of the network has rows."""

    name: str
    together: int = 4

    def __call__(self, classifier: Classifier, classes: Sequence[int], seed: int) -> list[Tensor]:
        recipe = replace(PRESETS[self.name], seed=seed)
        concepts = [parse(str(index), classifier.labels) for index in classes]
        *_, last = estimate(classifier, concepts, recipe)
        return list(bare_pictures(last.maps(), recipe))
