"""Photographs with the outline of their object: six that scikit-image ships, or a folder of the user's.

In a folder, `NAME.mask.png` marks the object of `NAME.jpg`, white on black and of the photograph's size. A photograph
without a mask is used wherever no object is needed. All are cropped to their square middle, the input of the models.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps
from torch import Generator, Tensor

from phosphene.core.images import ImageShape
from phosphene.errors import BadInput

OUTLINES = Path(__file__).with_name("objects.json")
MASK = ".mask.png"
ENDINGS = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}


@dataclass(frozen=True)
class Photograph:
    """An image `(3, S, S)` in [0,1] and the region `(S, S)` of its object, 1 inside, where it is known."""

    name: str
    image: Tensor
    region: Tensor | None = None

    def digest(self) -> str:
        """A digest of image and region, so that a changed photograph or mask is another one."""
        regions = b"" if self.region is None else self.region.numpy().tobytes()
        return hashlib.sha256(self.image.numpy().tobytes() + regions).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class FixedImages:
    """A distribution of a few given images; it uses data."""

    images: Tensor = field(repr=False)
    data_free = False

    def draw(self, generator: Generator, count: int, shape: ImageShape) -> Tensor:
        return self.images[torch.randint(len(self.images), (count,), generator=generator)]


def load_photographs(folder: Path | None, side: int) -> list[Photograph]:
    """Those of the folder, or the ones that scikit-image ships, `side` pixels wide. Raises `BadInput` without any."""
    return _load_shipped(side) if folder is None else _load_folder(folder, side)


def _load_shipped(side: int) -> list[Photograph]:
    found = importlib.util.find_spec("skimage")
    if found is None or found.origin is None:
        raise BadInput(
            "the bundled photographs are those of scikit-image; `pip install phosphene[photos]`, or give "
            "--photos FOLDER"
        )
    folder = Path(found.origin).parent / "data"
    outlines: Mapping[str, Any] = json.loads(OUTLINES.read_text(encoding="utf-8"))
    return [
        Photograph(Path(name).stem, fit_square(_read(folder / name), side), _fill_polygon(corners, side))
        for name, corners in outlines.items()
        if name != "note"
    ]


def _load_folder(folder: Path, side: int) -> list[Photograph]:
    files = sorted(path for path in folder.glob("*") if path.suffix.lower() in ENDINGS) if folder.is_dir() else []
    files = [path for path in files if not path.name.endswith(MASK)]
    if not files:
        raise BadInput(
            f"no photograph in {str(folder)!r}; expected NAME.jpg, and NAME{MASK}, white where its object is, for "
            f"those whose object is known"
        )
    return [Photograph(path.name, fit_square(_read(path), side), _load_mask(path, side)) for path in files]


def fit_square(pixels: NDArray[np.uint8], side: int) -> Tensor:
    """The square middle of an image `(H, W, 3)`, resized: `(3, side, side)` in [0,1]."""
    fitted = ImageOps.fit(Image.fromarray(pixels), (side, side))
    return torch.from_numpy(np.asarray(fitted, dtype=np.float32) / 255.0).permute(2, 0, 1).contiguous()


def _load_mask(photograph: Path, side: int) -> Tensor | None:
    """The region of the object, cropped as the photograph is; None without a mask."""
    path = photograph.with_name(photograph.stem + MASK)
    if not path.is_file():
        return None
    mask, (height, width, _) = _read(path), _read(photograph).shape
    if mask.shape != (height, width, 3):
        raise BadInput(
            f"the mask {str(path)!r} is {mask.shape[1]}×{mask.shape[0]}; expected {width}×{height}, the size of its "
            f"photograph"
        )
    region = (fit_square(mask, side).mean(dim=0) > 0.5).float()
    if not 0 < region.mean() < 1:
        content = "nothing but white" if region.mean() > 0 else "no white"
        raise BadInput(
            f"the mask {str(path)!r} has {content} in its square middle; expected white on the object alone, correct "
            f"it or remove it"
        )
    return region


def _read(path: Path) -> NDArray[np.uint8]:
    """The pixels `(H, W, 3)` of an image file, turned upright as its EXIF data say."""
    try:
        with Image.open(path) as image:
            return np.array(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, Image.DecompressionBombError) as error:
        raise BadInput(f"cannot read the photograph {str(path)!r}: {error}; remove it or replace it") from error


def _fill_polygon(corners: Sequence[Sequence[float]], side: int) -> Tensor:
    """A region `(side, side)` of 0 and 1 from corners in shares of the side."""
    canvas = Image.new("L", (side, side))
    ImageDraw.Draw(canvas).polygon([(x * side, y * side) for x, y in corners], fill=1)
    return torch.from_numpy(np.asarray(canvas, dtype=np.float32))
