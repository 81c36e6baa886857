"""Images as tensors, Pillow images and PNG bytes; the one loader of image files."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from phosphene.core.reading import IMAGE_LIMIT, explain, read_file
from phosphene.errors import BadInput

ImageShape = tuple[int, int, int]  # channels, height, width


def png_bytes(picture: Tensor) -> bytes:
    """A picture (C,H,W) or (H,W) in [0,1] as PNG; of other than 1 or 3 channels, their mean."""
    stream = io.BytesIO()
    to_image(picture).save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def to_image(picture: Tensor) -> Image.Image:
    """A Pillow image of a picture (C,H,W) or (H,W) in [0,1]."""
    planes = picture if picture.ndim == 3 else picture[None]
    planes = planes if planes.shape[0] == 3 else planes.mean(dim=0, keepdim=True)
    pixels = to_bytes(planes).permute(1, 2, 0).cpu().numpy()
    return Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[..., 0])


def to_bytes(picture: Tensor) -> Tensor:
    """[0,1] → uint8, rounded."""
    return (picture.clamp(0, 1) * 255).round().to(torch.uint8)


IMAGE_ENDINGS = (".bmp", ".jpeg", ".jpg", ".png", ".webp")


def list_images(folder: Path) -> tuple[Path, ...]:
    """The image files below a folder, in order of name; raises `BadInput` where there are none."""
    files = (
        sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_ENDINGS) if folder.is_dir() else []
    )
    if not files:
        raise BadInput(f"no images in {str(folder)!r}; expected a folder with {', '.join(IMAGE_ENDINGS)} files")
    return tuple(files)


def load_image(path: Path, shape: ImageShape) -> Tensor:
    """An image file as `shape` (C,H,W) in [0,1], cropped to its proportions. Raises `BadInput` where it cannot be."""
    channels, height, width = shape
    if channels not in (1, 3):
        raise BadInput(f"photographs have 1 or 3 channels, the model wants {channels}; use a noise distribution")
    image = ImageOps.fit(open_image(path).convert("L" if channels == 1 else "RGB"), (width, height))
    pixels = torch.from_numpy(np.asarray(image, dtype=np.float32) / 255.0)
    return pixels.reshape(height, width, -1).permute(2, 0, 1).contiguous()


def open_image(path: Path) -> Image.Image:
    """An image file, turned upright as its EXIF data say. Raises `BadInput` for a file that cannot be read."""
    try:
        with Image.open(io.BytesIO(read_file(path, IMAGE_LIMIT))) as opened:
            opened.load()
            return ImageOps.exif_transpose(opened)
    except Exception as error:  # decoders of a hundred formats fail in their own ways at bytes of unknown origin
        raise BadInput(
            f"cannot read the photograph {str(path)!r}: {explain(error)}; remove it or replace it"
        ) from error
