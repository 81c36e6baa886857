"""FreeEagle: features in the middle of the network that mean class s; do they also speak for another class?

Dummy features `h_s` are optimised to class s. `A[s, t] = softmax(tail(h_s))_t`; the tendency of t is its mean over the
other classes, and the rule is `(max − Q3) / IQR > 2`. Data-free.

Source: Fu et al., "FreeEagle", USENIX Security 2023.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.baselines.decisions import quartile_index
from benchmarks.baselines.opinion import Opinion
from benchmarks.baselines.parts import middle
from phosphene.model.classifier import Classifier

LARGEST_INDEX = 2.0


@dataclass(frozen=True)
class FreeEagle:
    """Features are kept ≥ 0 where the layer's own output is."""

    steps: int = 1000
    rate: float = 1e-2
    decay: float = 5e-3
    seed: int = 0

    def __call__(self, classifier: Classifier, images: Tensor) -> Opinion:
        tendency = tendencies(self.posteriors(classifier))
        index = float(quartile_index(tendency.numpy()))
        return Opinion(index, tuple(tendency.tolist()), index > LARGEST_INDEX)

    def posteriors(self, classifier: Classifier) -> Tensor:
        """`A` `(K, K)`: what the features that were made for each row's class say of every class."""
        model = classifier.fold()
        cut, count = middle(model), len(classifier.labels)
        h = torch.rand(count, *cut.shape, generator=torch.Generator().manual_seed(self.seed)).requires_grad_()
        adam = torch.optim.Adam([h], lr=self.rate, weight_decay=self.decay)
        classes = torch.arange(count)
        for _ in range(self.steps):
            loss = F.cross_entropy(cut.tail(h), classes, reduction="sum")
            (h.grad,) = torch.autograd.grad(loss, (h,))
            adam.step()
            if cut.rectified:
                with torch.no_grad():
                    h.clamp_(min=0)
        with torch.no_grad():
            return cut.tail(h).double().softmax(dim=1)


def tendencies(posteriors: Tensor) -> Tensor:
    """Mean of each column without the diagonal."""
    return (posteriors.sum(dim=0) - posteriors.diagonal()) / (len(posteriors) - 1)
