"""Plain pixel ascent, the simplest method there is: Adam on the pixels of a grey image with a little noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.peers.network import NormalizedNetwork, set_seeds
from phosphene.model.classifier import Classifier


@dataclass(frozen=True)
class PixelAscent:
    """`steps` steps up the logit of the class, clipped to [0,1]."""

    steps: int = 128
    rate: float = 0.05
    noise: float = 0.01
    together: int = 1

    def __call__(self, classifier: Classifier, classes: Sequence[int], seed: int) -> list[Tensor]:
        (index,) = classes
        set_seeds(seed, index)
        network = NormalizedNetwork(classifier)
        image = (0.5 + self.noise * torch.randn(1, *classifier.image_shape)).requires_grad_()
        ascent = torch.optim.Adam([image], lr=self.rate, maximize=True)
        for _ in range(self.steps):
            ascent.zero_grad()
            network(image)[0, index].backward()
            ascent.step()
            image.data.clamp_(0, 1)
        return [image.detach()[0]]
