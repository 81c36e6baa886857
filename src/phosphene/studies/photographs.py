"""Photographs with the outline of their object: six that scikit-image ships, or a folder of the user's.

In a folder, `NAME.mask.png` marks the object of `NAME.jpg`, white on black and of the photograph's size. A photograph
without a mask is used wherever no object is needed. All are cropped to their square middle, the input of the models.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Generator, Tensor

from phosphene.core.images import IMAGE_ENDINGS, ImageShape, load_image, open_image
from phosphene.core.photographs import load_photograph
from phosphene.errors import BadInput

OUTLINES = Path(__file__).with_name("objects.json")
MASK = ".mask.png"


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
    outlines: Mapping[str, Any] = json.loads(OUTLINES.read_text(encoding="utf-8"))
    return [
        Photograph(name, load_photograph(name, (3, side, side)), _fill_polygon(corners, side))
        for name, corners in ((Path(file).stem, corners) for file, corners in outlines.items() if file != "note")
    ]


def _load_folder(folder: Path, side: int) -> list[Photograph]:
    files = sorted(path for path in folder.glob("*") if path.suffix.lower() in IMAGE_ENDINGS) if folder.is_dir() else []
    files = [path for path in files if not path.name.endswith(MASK)]
    if not files:
        raise BadInput(
            f"no photograph in {str(folder)!r}; expected NAME.jpg, and NAME{MASK}, white where its object is, for "
            f"those whose object is known"
        )
    return [Photograph(path.name, load_image(path, (3, side, side)), _load_mask(path, side)) for path in files]


def _load_mask(photograph: Path, side: int) -> Tensor | None:
    """The region of the object, cropped as the photograph is; None without a mask."""
    path = photograph.with_name(photograph.stem + MASK)
    if not path.is_file():
        return None
    got, expected = open_image(path).size, open_image(photograph).size
    if got != expected:
        raise BadInput(
            f"the mask {str(path)!r} is {got[0]}×{got[1]}; expected {expected[0]}×{expected[1]}, the size of its "
            f"photograph"
        )
    region = (load_image(path, (3, side, side)).mean(dim=0) > 0.5).float()
    if not 0 < region.mean() < 1:
        content = "nothing but white" if region.mean() > 0 else "no white"
        raise BadInput(
            f"the mask {str(path)!r} has {content} in its square middle; expected white on the object alone, correct "
            f"it or remove it"
        )
    return region


def _fill_polygon(corners: Sequence[Sequence[float]], side: int) -> Tensor:
    """A region `(side, side)` of 0 and 1 from corners in shares of the side."""
    canvas = Image.new("L", (side, side))
    ImageDraw.Draw(canvas).polygon([(x * side, y * side) for x, y in corners], fill=1)
    return torch.from_numpy(np.asarray(canvas, dtype=np.float32))
