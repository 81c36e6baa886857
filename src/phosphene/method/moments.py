"""Accumulate: exponential moments of the gradients, the step along their ratio, and the mean of the points passed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Moments:
    """First and second moments of a sequence of gradients, as Adam keeps them (Kingma & Ba, ICLR 2015).

    `first` and `second` are the decayed sums `(1−β) Σ β^(n−i) g_i` and the same of `g_i²`; `move` corrects the bias of
    having started from nothing. `shared` takes one second moment for a whole map, so that the direction stays that of
    the gradient itself.
    """

    first: Tensor
    second: Tensor
    betas: tuple[float, float]
    shared: bool = False
    count: int = 0

    @staticmethod
    def zero(like: Tensor, betas: tuple[float, float] = (0.9, 0.999), shared: bool = False) -> Moments:
        return Moments(torch.zeros_like(like), torch.zeros_like(like), betas, shared)

    def add(self, gradient: Tensor) -> Moments:
        beta1, beta2 = self.betas
        first = torch.lerp(self.first, gradient, 1 - beta1)
        second = (self.second * beta2).addcmul_(gradient, gradient, value=1 - beta2)
        return replace(self, first=first, second=second, count=self.count + 1)

    def move(self, point: Tensor, step: float) -> Tensor:
        """`point` one step along minus the first moment over the root of the second, both corrected for bias."""
        correction1, correction2 = (1 - beta**self.count for beta in self.betas)
        second = self.second
        if self.shared:
            # Row by row and in one layout: the order of a sum depends on both, and a map must not.
            second = torch.stack([row.contiguous().mean() for row in second]).view(-1, *[1] * (second.ndim - 1))
        scale = second.sqrt().add_(1e-12)
        return torch.addcdiv(point, self.first, scale, value=-step * correction2**0.5 / correction1)


@dataclass(frozen=True)
class TailMean:
    """Mean of the points passed from iteration `start` on; before that, the latest point.

    Single steps follow the views of the moment; their mean keeps what all views agree on, and stays on the ball.
    """

    start: int
    mean: Tensor
    count: int = 0

    def add(self, iteration: int, point: Tensor) -> TailMean:
        if iteration < self.start:
            return replace(self, mean=point)
        mean = torch.lerp(self.mean, point, 1 / (self.count + 1)) if self.count else point
        return replace(self, mean=mean, count=self.count + 1)
