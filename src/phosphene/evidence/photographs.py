"""Photographs that scikit-image ships: a place to lay a map on that nobody made for it."""

from __future__ import annotations

import functools
import importlib
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from phosphene.core.images import ImageShape
from phosphene.errors import BadInput

SHIPPED = ("astronaut", "chelsea", "coffee", "rocket", "camera", "coins")  # in the wheel: nothing is downloaded


@dataclass(frozen=True)
class Photographs:
    """The named photographs of `skimage.data` in turn; the generator has nothing to say."""

    names: tuple[str, ...] = SHIPPED
    data_free = False

    def draw(self, generator: Generator, count: int, shape: ImageShape) -> Tensor:
        return torch.stack([photograph(self.names[k % len(self.names)], shape) for k in range(count)])


def available(channels: int) -> Photographs | None:
    """The photographs, or None where scikit-image is not installed or the model's images are no photographs."""
    if channels not in (1, 3):
        return None
    try:
        importlib.import_module("skimage.data")
    except ImportError:
        return None
    return Photographs()


@functools.lru_cache(maxsize=64)
def photograph(name: str, shape: ImageShape) -> Tensor:
    """`(C, H, W)` in [0,1]: the middle square of the photograph at the model's size."""
    data: Any = importlib.import_module("skimage.data")
    if name not in SHIPPED:
        raise BadInput(f"no photograph {name!r}; expected one of {', '.join(SHIPPED)}")
    pixels = torch.from_numpy(getattr(data, name)().copy()).float() / 255
    planes = pixels.permute(2, 0, 1)[:3] if pixels.ndim == 3 else pixels[None].expand(3, -1, -1)
    side = min(planes.shape[1:])
    top, left = ((length - side) // 2 for length in planes.shape[1:])
    square = planes[None, :, top : top + side, left : left + side]
    small = F.interpolate(square, size=shape[1:], mode="bicubic", antialias=True).clamp(0, 1)[0]
    return small if shape[0] == 3 else small.mean(dim=0, keepdim=True)
