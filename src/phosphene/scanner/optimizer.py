"""Adam for several tensors at once."""

from __future__ import annotations

import torch
from torch import Tensor


class Adam:
    """Bias-corrected first and second moments of several tensors; the move, not the step size."""

    def __init__(self, first: list[Tensor], second: list[Tensor], betas: tuple[float, float] = (0.8, 0.95)) -> None:
        self.first, self.second, self.betas, self.count = first, second, betas, 0

    @staticmethod
    def zero(like: tuple[Tensor, ...]) -> Adam:
        return Adam([torch.zeros_like(one) for one in like], [torch.zeros_like(one) for one in like])

    def step(self, slopes: tuple[Tensor, ...]) -> list[Tensor]:
        self.count += 1
        fast, slow = self.betas
        moves = []
        for first, second, slope in zip(self.first, self.second, slopes, strict=True):
            first.mul_(fast).add_(slope, alpha=1 - fast)
            second.mul_(slow).addcmul_(slope, slope, value=1 - slow)
            moves.append(first / (1 - fast**self.count) / ((second / (1 - slow**self.count)).sqrt() + 1e-12))
        return moves
