"""Images as tensors, Pillow images and PNG bytes."""

from __future__ import annotations

import io
from typing import Any

import torch
from torch import Tensor

ImageShape = tuple[int, int, int]  # channels, height, width


def png_bytes(picture: Tensor) -> bytes:
    """A picture (C,H,W) or (H,W) in [0,1] as PNG; of other than 1 or 3 channels, their mean."""
    stream = io.BytesIO()
    to_image(picture).save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def to_image(picture: Tensor) -> Any:
    """A Pillow image of a picture (C,H,W) or (H,W) in [0,1]."""
    from PIL import Image

    planes = picture if picture.ndim == 3 else picture[None]
    planes = planes if planes.shape[0] == 3 else planes.mean(dim=0, keepdim=True)
    pixels = to_bytes(planes).permute(1, 2, 0).cpu().numpy()
    return Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[..., 0])


def to_bytes(picture: Tensor) -> Tensor:
    """[0,1] → uint8, rounded."""
    return (picture.clamp(0, 1) * 255).round().to(torch.uint8)
