"""The photographs that scikit-image ships in its wheel: real images without a download."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path

from torch import Tensor

from phosphene.core.images import ImageShape, load_image
from phosphene.errors import BadInput

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket", "camera", "coins")  # the last two are grey


def are_installed() -> bool:
    """Whether scikit-image (`pip install 'phosphene[photos]'`) is there."""
    return importlib.util.find_spec("skimage") is not None


def locate_photograph(name: str) -> Path:
    """The file of a photograph. Raises `BadInput` where scikit-image is not installed or ships no such photograph."""
    found = importlib.util.find_spec("skimage")
    if found is None or found.origin is None:
        raise BadInput("scikit-image, which ships the photographs, is missing; `pip install 'phosphene[photos]'`")
    files = sorted((Path(found.origin).parent / "data").glob(f"{name}.*"))
    if not files:
        raise BadInput(f"scikit-image ships no photograph {name!r}; expected one of {', '.join(PHOTOGRAPHS)}")
    return files[0]


@functools.lru_cache(maxsize=64)
def load_photograph(name: str, shape: ImageShape) -> Tensor:
    """The central part of a photograph, resized to `shape` `(C, H, W)`, in [0,1]; C is 1 or 3.

    The result is shared by all callers: do not write to it. Raises `BadInput` for other names and numbers of channels,
    and where scikit-image is not installed.
    """
    return load_image(locate_photograph(name), shape)
