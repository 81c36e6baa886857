"""What the map is shown on: distributions `D`, views `T`, and the composition `x ⊕ m`. Step 1 of an iteration, *draw*.

A distribution draws images in [0,1] from a generator; a view places the map a little shifted, zoomed and rotated;
a composition puts the map into the image:

- `logit`: `sigmoid(logit(x) + m)`, never leaves [0,1] and never kills a gradient.
- `clip`: `clamp(x + m, 0, 1)`, the paper's.

Source: Akhtar & Jalwana, AAAI 2023; views after Olah et al., "Feature visualization", Distill 2017.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from phosphene.errors import BadInput
from phosphene.geometry import ImageShape


def seeded(seed: int, name: str, iteration: int) -> Generator:
    """A generator that depends on (seed, concept name, iteration) alone: never on batch, worker or resumption."""
    digest = hashlib.sha256(f"{seed}/{name}/{iteration}".encode()).digest()
    return Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


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
        if size > TABLE // 8:
            return _noise(generator, self.sigma, count * size).view(count, *shape)
        table = _noise_table(self.sigma)
        starts = torch.randint(TABLE - size, (count,), generator=generator).tolist()
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
        frequency = torch.fft.fftfreq(shape[1])[:, None].square() + torch.fft.rfftfreq(shape[2])[None, :].square()
        falloff = frequency.sqrt().clamp(min=1.0 / max(shape[1:])).reciprocal()
        falloff[0, 0] = 0.0
        pink = torch.fft.irfft2(torch.fft.rfft2(white) * falloff, s=shape[1:])
        return pink.div_(pink.std(dim=(1, 2, 3), keepdim=True)).mul_(self.contrast).add_(0.5).clamp_(0, 1)


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
        files = _image_files(self.path)
        chosen = torch.randint(len(files), (count,), generator=generator).tolist()
        return torch.stack([_photograph(files[index], shape) for index in chosen])


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


@dataclass(frozen=True)
class Views:
    """Small random placements of the map: shift (share of the side), zoom (factor range), rotation (degrees)."""

    shift: float = 0.12
    zoom: tuple[float, float] = (0.7, 1.2)
    rotation: float = 15.0

    def draw(self, generator: Generator, count: int) -> Tensor | None:
        """Affine matrices `(count, 2, 3)` for `place`, or None where nothing ever moves."""
        if self == STILL:
            return None
        return torch.tensor([self._matrix(*row) for row in torch.rand(count, 4, generator=generator).tolist()])

    def _matrix(self, across: float, down: float, zoom: float, turn: float) -> list[list[float]]:
        """From four numbers in [0,1]; in plain Python, for tiny tensor operations cost more than their arithmetic."""
        low, high = self.zoom
        scale = 1.0 / (low + (high - low) * zoom)
        angle = math.radians(self.rotation) * (2.0 * turn - 1.0)
        cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
        across, down = (2.0 * self.shift * (2.0 * offset - 1.0) for offset in (across, down))
        return [[cosine, -sine, across], [sine, cosine, down]]


STILL = Views(shift=0.0, zoom=(1.0, 1.0), rotation=0.0)

VIEWS: dict[str, Views] = {
    "all": Views(),
    "shift": replace(STILL, shift=Views.shift),
    "zoom": replace(STILL, zoom=Views.zoom),
    "rotation": replace(STILL, rotation=Views.rotation),
    "none": STILL,
}


def place(maps: Tensor, views: Tensor | None) -> Tensor:
    """`τ m`: each map of `(N, C, H, W)` under its affine view; outside the map there is no evidence, so zero."""
    if views is None:
        return maps
    placed: Tensor = _Placed.apply(maps, views.to(maps.device))
    return placed


class _Placed(torch.autograd.Function):
    """Bilinear sampling under views that keeps nothing but the views for its adjoint.

    By the time of the backward pass, maps and grid have long left the caches: to read them again takes longer than to
    compute the grid anew, and the maps matter only to the gradient by the grid, which nobody asks for.
    """

    @staticmethod
    def forward(context: Any, maps: Tensor, views: Tensor) -> Tensor:
        context.save_for_backward(views)
        return F.grid_sample(maps, _grid(views, maps), mode="bilinear", padding_mode="zeros", align_corners=False)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (views,) = context.saved_tensors
        bilinear, zeros, stand_in = 0, 0, gradient  # enumerators of ATen; any tensor of the maps' shape stands for them
        back, _ = torch.ops.aten.grid_sampler_2d_backward(
            gradient, stand_in, _grid(views, gradient), bilinear, zeros, False, [True, False]
        )
        return back, None


def _grid(views: Tensor, maps: Tensor) -> Tensor:
    """`(N, H, W, 2)`: where each pixel is read from; as x + iy it is a sum over the pixel's column and row."""
    across, down, offset = torch.view_as_complex(views.transpose(1, 2).contiguous())[..., None, None].unbind(1)
    rows = down * _pixel_centres(maps.shape[2], maps.device)[:, None] + offset
    return torch.view_as_real(across * _pixel_centres(maps.shape[3], maps.device) + rows)


def compose_logit(images: Tensor, maps: Tensor) -> Tensor:
    """`sigmoid(logit(x) + m)`, in (0,1); pixels nearer than 1/256 to black or white keep that distance."""
    return torch.sigmoid(torch.logit(images, eps=1 / 256) + maps)


def compose_clip(images: Tensor, maps: Tensor) -> Tensor:
    """`clamp(x + m, 0, 1)`."""
    return (images + maps).clamp(0.0, 1.0)


COMPOSITIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"logit": compose_logit, "clip": compose_clip}


CONTRAST: dict[str, float] = {"logit": 1.0, "clip": 0.2}  # standard deviation of a map scaled for display


@dataclass(frozen=True)
class Draws:
    """Samples `(maps·n, C, H, W)` and their views: what one iteration shows to the model."""

    samples: Tensor
    views: Tensor | None
    count: int

    def blocks(self, rows: int) -> Iterator[Draws]:
        """The draws of a single map, at most so many at a time."""
        for start in range(0, self.count, rows):
            samples = self.samples[start : start + rows]
            yield Draws(samples, None if self.views is None else self.views[start : start + rows], len(samples))


def draw(
    distribution: Distribution, views: Views, generators: Sequence[Generator], count: int, shape: ImageShape
) -> Draws:
    """Draw `count` samples and views for each generator, map after map."""
    samples = torch.cat([distribution.draw(generator, count, shape) for generator in generators])
    placements = [placed for generator in generators if (placed := views.draw(generator, count)) is not None]
    return Draws(samples, torch.cat(placements) if placements else None, count)


def shown(draws: Draws, maps: Tensor, compose: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """`x_k ⊕ τ_k m`: every sample carrying its map, `(maps·n, C, H, W)`."""
    repeated = maps.repeat_interleave(draws.count, dim=0) if draws.count > 1 else maps
    return compose(draws.samples.to(maps.device), place(repeated, draws.views))


TABLE = 1 << 22  # numbers in the table of noise, 16 MB; images of more than an eighth of it draw their own


@functools.lru_cache(maxsize=4)
def _noise_table(sigma: float) -> Tensor:
    return _noise(Generator().manual_seed(0), sigma, TABLE)


def _noise(generator: Generator, sigma: float, count: int) -> Tensor:
    return torch.randn(count, generator=generator).mul_(sigma).add_(0.5).clamp_(0, 1)


@functools.lru_cache(maxsize=8)
def _pixel_centres(side: int, device: torch.device) -> Tensor:
    """Coordinates of the pixels' centres along a side, in [−1,1]."""
    return (2 * torch.arange(side, device=device) + 1) / side - 1


@functools.lru_cache(maxsize=8)
def _image_files(folder: str) -> tuple[Path, ...]:
    endings = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}
    root = Path(folder)
    files = tuple(sorted(p for p in root.rglob("*") if p.suffix.lower() in endings)) if root.is_dir() else ()
    if not files:
        raise BadInput(f"no images in {folder!r}; expected a folder with {', '.join(sorted(endings))} files")
    return files


@functools.lru_cache(maxsize=256)
def _photograph(path: Path, shape: ImageShape) -> Tensor:
    import numpy as np
    from PIL import Image, ImageOps

    channels, height, width = shape
    if channels not in (1, 3):
        raise BadInput(f"photographs have 1 or 3 channels, the model wants {channels}; use a noise distribution")
    try:
        with Image.open(path) as opened:
            image = ImageOps.fit(opened.convert("L" if channels == 1 else "RGB"), (width, height))
    except OSError as error:
        raise BadInput(f"cannot read the photograph {str(path)!r}: {error}; remove it or mend it") from error
    pixels = torch.from_numpy(np.asarray(image, dtype=np.float32) / 255.0)
    return pixels.reshape(height, width, -1).permute(2, 0, 1).contiguous()
