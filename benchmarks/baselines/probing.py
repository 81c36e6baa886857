"""Random features before the final layer: which class wins, and by how much? And chance, for comparison."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.baselines.opinion import Opinion, outlier
from benchmarks.baselines.parts import head
from phosphene.model.classifier import Classifier


@dataclass(frozen=True)
class HeadProbing:
    """Features `h ~ |N(0, σ_j)|`, σ_j as it is on images of noise; each class's win rate, or its mean logit."""

    statistic: str = "wins"
    draws: int = 10_000
    seed: int = 0

    def __call__(self, classifier: Classifier, images: Tensor) -> Opinion:
        last, generator = head(classifier), torch.Generator().manual_seed(self.seed)
        noise = torch.rand(64, *classifier.image_shape, generator=generator)
        spread = last.features(noise).square().mean(dim=0).sqrt()
        features = torch.randn(self.draws, len(spread), generator=generator).abs() * spread
        logits = features @ last.weight.T + last.bias
        if self.statistic == "logit":
            return outlier(logits.mean(dim=0))
        return outlier(torch.bincount(logits.argmax(dim=1), minlength=logits.shape[1]) / self.draws)


@dataclass(frozen=True)
class Chance:
    """Scores drawn from the weights' fingerprint: the same model, the same score, and nothing else in it."""

    seed: int = 0

    def __call__(self, classifier: Classifier, images: Tensor) -> Opinion:
        generator = torch.Generator().manual_seed(self.seed + int(classifier.fingerprint[:12], 16))
        return outlier(torch.randn(len(classifier.labels), generator=generator))
