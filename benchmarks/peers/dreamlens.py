"""DreamLens (dreamlens 0.1.1): activation maximisation, and MACO, which keeps magnitudes and searches phases.

https://github.com/sushmanthreddy/dreamlens; MACO: Fel et al., NeurIPS 2023.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor

from benchmarks.peers.network import normalize_images, set_seeds
from phosphene.model.classifier import Classifier

LAYER = "classifier"  # where timm's EfficientNet gives its logits


@dataclass(frozen=True)
class DreamLens:
    """`visualize(method="maximize")` with its defaults: 256 pixels and 120 iterations, as many as our `default` has."""

    steps: int = 120
    together: int = 1

    def __call__(self, classifier: Classifier, classes: Sequence[int], seed: int) -> list[Tensor]:
        from dreamlens import RenderConfig

        return _visualize(classifier, classes, seed, "maximize", RenderConfig(steps=self.steps))


@dataclass(frozen=True)
class DreamLensMaco:
    """`visualize(method="maco")` with its defaults: 512 pixels and 256 iterations of 32 crops."""

    steps: int = 256
    crops: int = 32
    together: int = 1

    def __call__(self, classifier: Classifier, classes: Sequence[int], seed: int) -> list[Tensor]:
        from dreamlens import MacoConfig

        config = MacoConfig(steps=self.steps, crops=self.crops, input_shape=classifier.image_shape)
        return _visualize(classifier, classes, seed, "maco", config)


def _visualize(classifier: Classifier, classes: Sequence[int], seed: int, method: str, config: Any) -> list[Tensor]:
    from dreamlens import FeatureTarget, FeatureVisualizer

    (index,) = classes
    set_seeds(seed, index)
    normalize = partial(normalize_images, mean=classifier.format.mean, std=classifier.format.std)
    visualizer = FeatureVisualizer(classifier.module, quiet=True, preprocess=normalize)
    result = visualizer.visualize(FeatureTarget.for_neuron(LAYER, index), method=method, config=config)
    return [result.as_chw()]
