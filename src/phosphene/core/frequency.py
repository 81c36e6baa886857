"""Grids of |frequency| for the Fourier transforms of images, in cycles a pixel."""

from __future__ import annotations

import torch
from torch import Tensor


def axes(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Vertical `(H, 1)` and horizontal `(1, W//2+1)` frequencies of `torch.fft.rfft2`."""
    return torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None, :]


def magnitude(height: int, width: int) -> Tensor:
    """|frequency| of each coefficient of `torch.fft.rfft2`, `(H, W//2+1)`; 0 for the mean."""
    vertical, horizontal = axes(height, width)
    return (vertical.square() + horizontal.square()).sqrt()


def nonzero_magnitude(height: int, width: int) -> Tensor:
    """`magnitude`, in which the mean has the lowest frequency of the image instead of 0."""
    return magnitude(height, width).clamp(min=1.0 / max(height, width))
