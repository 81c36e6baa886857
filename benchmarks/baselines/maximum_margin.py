"""MM-BD: how far can an image drive each class above all others? A backdoor's target goes furthest.

`r_c = max_x [g_c(x) − max_{k≠c} g_k(x)]` over images in [0,1], from random starts; the rule compares the largest with
a gamma distribution of the rest. Data-free.

Source: Wang, Xiang, Miller & Kesidis, "MM-BD", IEEE S&P 2024.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmarks.baselines.decisions import gamma_log_p
from benchmarks.baselines.opinion import Opinion
from phosphene.model.classifier import Classifier
from phosphene.scanner.margins import margin

LARGEST_P = 0.05


@dataclass(frozen=True)
class MaximumMargin:
    """Adam instead of the paper's gradient ascent: it gets as far in fewer steps."""

    starts: int = 30
    steps: int = 300
    rate: float = 0.1
    seed: int = 0

    def __call__(self, classifier: Classifier, images: Tensor) -> Opinion:
        margins = self.margins(classifier)
        log_p = float(gamma_log_p(np.asarray(margins)))
        return Opinion(score=-log_p, classes=margins, alarm=log_p <= math.log(LARGEST_P))

    def margins(self, classifier: Classifier) -> tuple[float, ...]:
        """The largest margin of each class that any start reached at any step."""
        count, generator = len(classifier.labels), torch.Generator().manual_seed(self.seed)
        x = torch.rand(count * self.starts, *classifier.image_shape, generator=generator)
        classes = torch.arange(count).repeat_interleave(self.starts)
        best = torch.full((len(x),), -torch.inf)
        model = classifier.fold().replace(batch_size=min(len(x), 640))
        x.requires_grad_()
        adam = torch.optim.Adam([x], lr=self.rate)
        for _ in range(self.steps):
            reached = margin(model(x), classes)
            best = torch.maximum(best, reached.detach())
            (x.grad,) = torch.autograd.grad(-reached.sum(), (x,))
            adam.step()
            with torch.no_grad():
                x.clamp_(0, 1)
        return tuple(best.view(count, self.starts).max(dim=1).values.tolist())
