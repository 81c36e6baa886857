"""Where the moments and the norm of a map live: step 4 of an iteration, *project* (Ψ).

A geometry turns coefficients `z`, the numbers that the estimator moves, into the map `m` and keeps them on a ball:

- `pixel`: `m = z`, ball `‖m‖₂ ≤ η`. The paper's.
- `spectral`: `m̂(f) = z(f) / |f|^p` in a decorrelated colour basis, ball `‖z‖₂ ≤ η`. In terms of the map that is the
  ellipsoid `Σ |f|^2p·|m̂(f)|² ≤ η²`, a Sobolev norm: energy is spent at the scales where natural images have theirs.

Source: Akhtar & Jalwana, AAAI 2023 (pixel). The 1/|f| law of natural images: Field, JOSA A 1987; their colour axes:
Ruderman, Cronin & Chiao, JOSA A 1998.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from phosphene.core.frequency import nonzero_magnitude
from phosphene.core.images import ImageShape
from phosphene.errors import BadInput


class Geometry(Protocol):
    """Coefficients of shape `(maps, ...)`, one row a map; `radius` is the η of the ball."""

    @property
    def radius(self) -> float: ...

    def start(self, maps: int, shape: ImageShape) -> Tensor:
        """The origin: coefficients that decode to the zero map."""

    def decode(self, coefficients: Tensor, shape: ImageShape) -> Tensor:
        """Maps `(maps, C, H, W)`; linear in the coefficients."""

    def encode(self, maps: Tensor) -> Tensor:
        """The coefficients that decode to `maps`."""

    def pull(self, gradient: Tensor) -> Tensor:
        """The adjoint of `decode`: a gradient by the map `(maps, C, H, W)` → the gradient by the coefficients."""

    def norm(self, coefficients: Tensor, shape: ImageShape) -> Tensor:
        """The geometry's norm of each row, `(maps,)`."""

    def project(self, coefficients: Tensor, shape: ImageShape) -> Tensor:
        """The nearest point of the ball `norm ≤ radius`."""


@dataclass(frozen=True)
class Pixel:
    """Moments per pixel, l2 ball: the paper's surface."""

    radius: float = 25.0

    def start(self, maps: int, shape: ImageShape) -> Tensor:
        return torch.zeros(maps, *shape)

    def decode(self, coefficients: Tensor, shape: ImageShape) -> Tensor:
        return coefficients

    def encode(self, maps: Tensor) -> Tensor:
        return maps

    def pull(self, gradient: Tensor) -> Tensor:
        return gradient

    def norm(self, coefficients: Tensor, shape: ImageShape) -> Tensor:
        return _length(coefficients)

    def project(self, coefficients: Tensor, shape: ImageShape) -> Tensor:
        return _shrink(coefficients, self.norm(coefficients, shape), self.radius)


@dataclass(frozen=True)
class Spectral:
    """Moments per Fourier coefficient `(maps, C, H, W//2+1, 2)`, weighted by 1/|frequency|, in natural colour axes.

    `gain` sets the contrast that one unit of a coefficient is worth, `falloff` the power of the frequency that divides
    it (steeper maps have less grain, and hold less on noise); `colour` how strong the two chromatic axes are beside
    brightness (natural images: a quarter and an eighth; others recognise stronger ones better).
    """

    radius: float = 250.0
    gain: float = 0.25
    falloff: float = 1.0
    colour: tuple[float, float] = (0.5, 0.3)

    def __post_init__(self) -> None:
        numbers = {"gain": self.gain, "falloff": self.falloff}
        wrong = {name: value for name, value in numbers.items() if not isinstance(value, (int, float))}
        if wrong or not isinstance(self.colour, tuple) or len(self.colour) != 2:
            raise BadInput(f"{self} is no spectral geometry; expected numbers for gain and falloff, two for colour")

    def start(self, maps: int, shape: ImageShape) -> Tensor:
        channels, height, width = shape
        return torch.zeros(maps, channels, height, width // 2 + 1, 2)

    def decode(self, coefficients: Tensor, shape: ImageShape) -> Tensor:
        channels, height, width = shape
        weight = _weight(height, width, self.falloff, self.gain, coefficients.device)
        planes = torch.fft.irfft2(torch.view_as_complex(coefficients) * weight, s=(height, width), norm="forward")
        if channels != 3:
            return planes
        axes = _colour_axes(self.colour, coefficients.device)
        return (axes @ planes.flatten(2)).view_as(planes)

    def encode(self, maps: Tensor) -> Tensor:
        channels, height, width = maps.shape[1:]
        if channels == 3:
            maps = torch.einsum("dc,nchw->ndhw", torch.linalg.inv(_colour_axes(self.colour, maps.device)), maps)
        weighted = torch.fft.rfft2(maps, norm="forward")
        return torch.view_as_real(weighted / _weight(height, width, self.falloff, self.gain, maps.device))

    def pull(self, gradient: Tensor) -> Tensor:
        channels, height, width = gradient.shape[1:]
        planes = gradient
        if channels == 3:
            planes = (_colour_axes(self.colour, gradient.device).T @ gradient.flatten(2)).view_as(gradient)
        weight = _counted_weight(height, width, self.falloff, self.gain, gradient.device)
        return torch.view_as_real(torch.fft.rfft2(planes).mul_(weight))

    def norm(self, coefficients: Tensor, shape: ImageShape) -> Tensor:
        # A real image's spectrum is stored by half: every column but the first (and Nyquist's) stands for two.
        single = coefficients[..., :1, :] if shape[2] % 2 else coefficients[..., :: shape[2] // 2, :]
        squares = 2 * _length(coefficients).square() - _length(single).square()
        return squares.clamp(min=0).sqrt()

    def project(self, coefficients: Tensor, shape: ImageShape) -> Tensor:
        return _shrink(coefficients, self.norm(coefficients, shape), self.radius)


GEOMETRIES: dict[str, type[Geometry]] = {"pixel": Pixel, "spectral": Spectral}


def _length(rows: Tensor) -> Tensor:
    return torch.linalg.vector_norm(rows.flatten(1), dim=1)


def _shrink(coefficients: Tensor, norm: Tensor, radius: float) -> Tensor:
    factor = (radius / norm.clamp(min=1e-30)).clamp(max=1.0)
    return coefficients * factor.view(-1, *[1] * (coefficients.ndim - 1))


@functools.lru_cache(maxsize=16)
def _weight(height: int, width: int, falloff: float, gain: float, device: torch.device) -> Tensor:
    """What a coefficient is multiplied by: gain over |frequency|, and the scale of an orthonormal transform."""
    # The mean has no frequency; it is given the lowest one, so that brightness stays as cheap as the coarsest wave.
    falling = nonzero_magnitude(height, width).pow(-falloff)
    return (falling * (gain / (height * width) ** 0.5)).to(device)


@functools.lru_cache(maxsize=16)
def _counted_weight(height: int, width: int, falloff: float, gain: float, device: torch.device) -> Tensor:
    """The same for the adjoint, where columns that stand for two count twice."""
    stands_for = torch.full((width // 2 + 1,), 2.0)
    stands_for[0] = 1.0
    if width % 2 == 0:
        stands_for[-1] = 1.0
    return _weight(height, width, falloff, gain, device) * stands_for.to(device)


@functools.lru_cache(maxsize=16)
def _colour_axes(strength: tuple[float, float], device: torch.device) -> Tensor:
    """Columns: brightness, red–blue, green–magenta; orthogonal, scaled by their standard deviations in nature."""
    axes = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -2.0], [1.0, -1.0, 1.0]])
    axes = axes / axes.norm(dim=0, keepdim=True)
    return (axes * torch.tensor([1.0, *strength])).to(device)
