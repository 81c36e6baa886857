"""The photographs that scikit-image ships in its wheel: real images without a download."""

from __future__ import annotations

import functools
import importlib
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from phosphene.core.images import ImageShape
from phosphene.errors import BadInput

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket", "camera", "coins")  # the last two are grey


def are_installed() -> bool:
    """Whether scikit-image (`pip install 'phosphene[photos]'`) is there."""
    try:
        importlib.import_module("skimage.data")
    except ImportError:
        return False
    return True


@functools.lru_cache(maxsize=64)
def load_photograph(name: str, shape: ImageShape) -> Tensor:
    """The central square of a photograph, resized to `shape` `(C, H, W)`, in [0,1]; C is 1 or 3.

    The result is shared by all callers: do not write to it. Raises `BadInput` for other names and numbers of channels,
    and where scikit-image is not installed.
    """
    if name not in PHOTOGRAPHS:
        raise BadInput(f"no photograph {name!r}; expected one of {', '.join(PHOTOGRAPHS)}")
    if shape[0] not in (1, 3):
        raise BadInput(f"photographs have 1 or 3 channels, the model takes {shape[0]}; use a noise distribution")
    square = _crop_center(_read_planes(name))
    resized = F.interpolate(square[None], size=shape[1:], mode="bicubic", antialias=True).clamp(0, 1)[0]
    return resized if shape[0] == 3 else resized.mean(dim=0, keepdim=True)


def _read_planes(name: str) -> Tensor:
    """The whole photograph, `(3, H, W)` in [0,1]."""
    if not are_installed():
        raise BadInput("scikit-image, which ships the photographs, is missing; `pip install 'phosphene[photos]'`")
    data: Any = importlib.import_module("skimage.data")
    pixels = torch.from_numpy(getattr(data, name)().copy()).float() / 255
    return pixels.permute(2, 0, 1)[:3] if pixels.ndim == 3 else pixels[None].expand(3, -1, -1)


def _crop_center(planes: Tensor) -> Tensor:
    side = min(planes.shape[1:])
    top, left = ((length - side) // 2 for length in planes.shape[1:])
    return planes[:, top : top + side, left : left + side]
