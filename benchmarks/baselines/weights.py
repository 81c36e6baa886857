"""Methods that look at the weights alone, in milliseconds.

Sources: Zheng et al., "Channel Lipschitzness based Pruning", ECCV 2022; Fields et al., "Trojan Signatures in DNN
Weights", 2021.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.baselines.opinion import Opinion, StepsAside, outlier
from benchmarks.baselines.parts import convolutions, head
from phosphene.model.classifier import Classifier


@dataclass(frozen=True)
class ChannelLipschitzness:
    """CLP: the largest z-score, within its layer, of a channel's `σ_max(W_k · |γ_k| / √var_k)`. Names no class.

    Published to choose the channels that are pruned (z > 3), not to judge a model, so it has no alarm.
    """

    def __call__(self, classifier: Classifier, images: Tensor) -> Opinion:
        largest = [float(z_scores(channels).max()) for channels in self.bounds(classifier)]
        if not largest:
            raise StepsAside("no convolution with batch norm")
        return Opinion(score=max(largest))

    def bounds(self, classifier: Classifier) -> list[Tensor]:
        """The bound of every channel, a tensor a layer."""
        found = []
        for convolution, norm in convolutions(classifier.module):
            scale = norm.weight.detach().abs() / (norm.running_var + norm.eps).sqrt()
            kernels = convolution.weight.detach().flatten(2)
            found.append(torch.linalg.matrix_norm(kernels, ord=2) * scale)
        return found


def z_scores(values: Tensor) -> Tensor:
    spread = values.std()
    return (values - values.mean()) / spread.clamp(min=1e-12)


@dataclass(frozen=True)
class TrojanSignatures:
    """Mean of each row of the final layer: a target's is shifted upwards."""

    def __call__(self, classifier: Classifier, images: Tensor) -> Opinion:
        return outlier(head(classifier).weight.mean(dim=1))


@dataclass(frozen=True)
class FinalLayerNorm:
    """Euclidean norm of each row of the final layer."""

    def __call__(self, classifier: Classifier, images: Tensor) -> Opinion:
        return outlier(head(classifier).weight.norm(dim=1))
