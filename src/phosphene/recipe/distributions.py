"""Distributions `D` of images in [0,1] that a map is laid on."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Protocol

import torch
from torch import Generator, Tensor

from phosphene.core.cache import Cache
from phosphene.core.frequency import nonzero_magnitude
from phosphene.core.images import ImageShape, list_images, load_image


class Distribution(Protocol):
    """Draws images; frozen, so that its fields are its whole state."""

    @property
    def data_free(self) -> bool:
        """False where drawing looks at real images; said wherever the map is shown."""

    def draw(self, generator: Generator, count: int, shape: ImageShape) -> Tensor:
        """`(count, C, H, W)` in [0,1]."""


@dataclass(frozen=True)
class Grey:
    """Mid-grey with Gaussian noise: nearly nothing, so that what appears comes from the model.

    A draw is a window at a random place of a table of independent numbers, as evolution strategies draw theirs
    (Salimans et al. 2017, section 2.1): new Gaussian numbers for every draw cost a third of what the loop may.
    """

    sigma: float = 0.06
    data_free = True

    def draw(self, generator: Generator, count: int, shape: ImageShape) -> Tensor:
        size = math.prod(shape)
        if size > TABLE_SIZE // 8:
            return _noise(generator, self.sigma, count * size).view(count, *shape)
        table = _noise_table(self.sigma)
        starts = torch.randint(TABLE_SIZE - size, (count,), generator=generator).tolist()
        return torch.stack([table[start : start + size] for start in starts]).view(count, *shape)


@dataclass(frozen=True)
class Gaussian:
    """Gaussian noise over the whole range: the paper's unrestricted distribution."""

    sigma: float = 0.25
    data_free = True

    def draw(self, generator: Generator, count: int, shape: ImageShape) -> Tensor:
        return Grey(self.sigma).draw(generator, count, shape)


@dataclass(frozen=True)
class Uniform:
    """Every pixel uniform on [0,1]."""

    data_free = True

    def draw(self, generator: Generator, count: int, shape: ImageShape) -> Tensor:
        return torch.rand(count, *shape, generator=generator)


@dataclass(frozen=True)
class Pink:
    """1/f noise: the spectrum of natural images with random phases; `contrast` is the standard deviation."""

    contrast: float = 0.2
    data_free = True

    def draw(self, generator: Generator, count: int, shape: ImageShape) -> Tensor:
        white = torch.randn(count, *shape, generator=generator)
        falloff = nonzero_magnitude(*shape[1:]).reciprocal()
        falloff[0, 0] = 0.0
        pink = torch.fft.irfft2(torch.fft.rfft2(white) * falloff, s=shape[1:])
        deviation = pink.std(dim=(1, 2, 3), keepdim=True, correction=min(1, pink[0].numel() - 1))
        return pink.div_(deviation.clamp(min=1e-12)).mul_(self.contrast).add_(0.5).clamp_(0, 1)


@dataclass(frozen=True)
class Flat:
    """One random colour an image."""

    data_free = True

    def draw(self, generator: Generator, count: int, shape: ImageShape) -> Tensor:
        return torch.rand(count, shape[0], 1, 1, generator=generator).expand(count, *shape).clone()


@dataclass(frozen=True)
class Folder:
    """Photographs of a folder, resized and cropped. It uses data, and everything that shows the map says so."""

    path: str = "."
    data_free = False

    def draw(self, generator: Generator, count: int, shape: ImageShape) -> Tensor:
        files = self._cache.get("files", lambda: list_images(Path(self.path)))
        chosen = [files[index] for index in torch.randint(len(files), (count,), generator=generator).tolist()]
        return torch.stack([self._cache.get((file, shape), partial(load_image, file, shape)) for file in chosen])

    @cached_property
    def _cache(self) -> Cache:
        """The folder's files and its photographs at the sizes that were asked for, of this very object."""
        return Cache()


@dataclass(frozen=True)
class Mixture:
    """Each sample from one of `parts`, chosen with equal probability."""

    parts: tuple[Distribution, ...] = (Grey(), Pink(), Flat())

    @property
    def data_free(self) -> bool:
        return all(part.data_free for part in self.parts)

    def draw(self, generator: Generator, count: int, shape: ImageShape) -> Tensor:
        chosen = torch.randint(len(self.parts), (count,), generator=generator).tolist()
        return torch.cat([self.parts[index].draw(generator, 1, shape) for index in chosen])


DISTRIBUTIONS: dict[str, Callable[..., Distribution]] = {
    "grey": Grey,
    "gaussian": Gaussian,
    "uniform": Uniform,
    "pink": Pink,
    "flat": Flat,
    "folder": Folder,
    "mixture": Mixture,
}


TABLE_SIZE = 1 << 22  # numbers in the table of noise, 16 MB; images of more than an eighth of it draw their own


@functools.lru_cache(maxsize=4)
def _noise_table(sigma: float) -> Tensor:
    return _noise(Generator().manual_seed(0), sigma, TABLE_SIZE)


def _noise(generator: Generator, sigma: float, count: int) -> Tensor:
    return torch.randn(count, generator=generator).mul_(sigma).add_(0.5).clamp_(0, 1)
