"""Photographs with the outline of their object: six that ship inside scikit-image, or a folder of one's own.

In a folder, `NAME.mask.png` says where the object of `NAME.jpg` is, white on black and of the photograph's size. A
photograph without one takes part in all that needs no object; where its object is would be a guess. All are cut to
their square middle, as the models see them.
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
        """Of everything that is looked at, so that a changed photograph or mask is another one."""
        regions = b"" if self.region is None else self.region.numpy().tobytes()
        return hashlib.sha256(self.image.numpy().tobytes() + regions).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class Shown:
    """A distribution of a few given images; it uses data, and says so."""

    images: Tensor = field(repr=False)
    data_free = False

    def draw(self, generator: Generator, count: int, shape: ImageShape) -> Tensor:
        return self.images[torch.randint(len(self.images), (count,), generator=generator)]


def photographs(folder: Path | None, side: int) -> list[Photograph]:
    """Those of the folder, or the bundled ones, `side` pixels wide."""
    return _bundled(side) if folder is None else _of_folder(folder, side)


def _bundled(side: int) -> list[Photograph]:
    found = importlib.util.find_spec("skimage")
    if found is None or found.origin is None:
        raise BadInput("the bundled photographs are those of scikit-image; `pip install phosphene[photos]`, or give "
                       "--photos FOLDER")  # fmt: skip
    folder = Path(found.origin).parent / "data"
    outlines: Mapping[str, Any] = json.loads(OUTLINES.read_text(encoding="utf-8"))
    return [Photograph(Path(name).stem, _image(folder / name, side), _polygon(corners, side))
            for name, corners in outlines.items() if name != "note"]  # fmt: skip


def _of_folder(folder: Path, side: int) -> list[Photograph]:
    files = sorted(path for path in folder.glob("*") if path.suffix.lower() in ENDINGS) if folder.is_dir() else []
    files = [path for path in files if not path.name.endswith(MASK)]
    if not files:
        raise BadInput(f"no photograph in {str(folder)!r}; expected NAME.jpg, and NAME{MASK}, white where its object "
                       f"is, beside those of which it is known")  # fmt: skip
    return [Photograph(path.name, _image(path, side), _mask(path, side)) for path in files]


def _image(path: Path, side: int) -> Tensor:
    fitted = ImageOps.fit(_opened(path), (side, side))
    return torch.from_numpy(np.asarray(fitted, dtype=np.float32) / 255.0).permute(2, 0, 1).contiguous()


def _mask(path: Path, side: int) -> Tensor | None:
    """The region of the object, cut as the photograph is; None where there is no mask."""
    mask = path.with_name(path.stem + MASK)
    if not mask.is_file():
        return None
    size, expected = _opened(mask).size, _opened(path).size
    if size != expected:
        raise BadInput(f"the mask {str(mask)!r} is {size[0]}×{size[1]}; expected {expected[0]}×{expected[1]}, as its "
                       f"photograph is")  # fmt: skip
    region = (_image(mask, side).mean(dim=0) > 0.5).float()
    if not 0 < region.mean() < 1:
        found = "nothing but white" if region.mean() > 0 else "no white"
        raise BadInput(f"the mask {str(mask)!r} has {found} in its square middle; expected white on the object alone, "
                       f"mend it or remove it")  # fmt: skip
    return region


def _opened(path: Path) -> Image.Image:
    """Upright, as people see it."""
    try:
        with Image.open(path) as opened:
            return ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, Image.DecompressionBombError) as error:
        raise BadInput(f"cannot read the photograph {str(path)!r}: {error}; remove it or mend it") from error


def _polygon(corners: Sequence[Sequence[float]], side: int) -> Tensor:
    canvas = Image.new("L", (side, side))
    ImageDraw.Draw(canvas).polygon([(x * side, y * side) for x, y in corners], fill=1)
    return torch.from_numpy(np.asarray(canvas, dtype=np.float32))
