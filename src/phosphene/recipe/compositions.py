"""Compositions `x ⊕ m`: how a map is put into an image."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def compose_logit(images: Tensor, maps: Tensor) -> Tensor:
    """`sigmoid(logit(x) + m)`, in (0,1); pixels nearer than 1/256 to black or white keep that distance."""
    return torch.sigmoid(torch.logit(images, eps=1 / 256) + maps)


def compose_clip(images: Tensor, maps: Tensor) -> Tensor:
    """`clamp(x + m, 0, 1)`."""
    return (images + maps).clamp(0.0, 1.0)


COMPOSITIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"logit": compose_logit, "clip": compose_clip}
CONTRAST: dict[str, float] = {"logit": 1.0, "clip": 0.2}  # standard deviation of a map scaled for display
