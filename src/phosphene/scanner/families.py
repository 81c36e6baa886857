"""Families of triggers: what may be done to an image, and how much of it was done.

A family turns parameters, one row a candidate, into changed images, and keeps the *size* of each row at the radius it
is given. The scan measures for every class how small the size may be for the images of other classes to become it.

- `patch`: `(1−m)x + m·u`; size is the share of the area, `mean(m)`. Patches, polygons, single pixels.
- `additive`: `clip(x + δ)`; size is the root mean square of δ, high frequencies damped. Blends, waves.
- `colour`: `clip(x + A·(x, x²) + b)` for each pixel; size is the root mean square of A, b. Photographic filters.
- `warp`: the image resampled along a coarse field of displacements; size is their root mean square in sides of the
  image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from phosphene.core.frequency import nonzero_magnitude
from phosphene.core.images import ImageShape
from phosphene.core.pixels import pixel_grid

Parameters = tuple[Tensor, ...]
PATTERN_GAIN = 8  # of a patch's pattern before its sigmoid
MAX_PATTERN = 0.6  # keeps the sigmoid where it has a gradient
BISECTIONS = 16


class Family(Protocol):
    """Parameters are tensors whose first dimension counts the candidates."""

    @property
    def name(self) -> str: ...

    @property
    def start_radius(self) -> float: ...

    @property
    def step(self) -> float: ...

    def start(self, shape: ImageShape, generators: list[Generator]) -> Parameters: ...

    def apply(self, parameters: Parameters, images: Tensor) -> Tensor:
        """Images `(candidates, n, C, H, W)`, each changed by its candidate."""

    def project(self, parameters: Parameters, radius: Tensor) -> Parameters:
        """The parameters with size at most `radius` `(candidates,)`."""


@dataclass(frozen=True)
class Patch:
    """A mask `(rows, 1, H, W)` in [0,1] and a pattern under it; the pattern is a logit so that no gradient vanishes."""

    name: str = "patch"
    start_radius: float = 0.3
    step: float = 0.12

    def start(self, shape: ImageShape, generators: list[Generator]) -> Parameters:
        channels, height, width = shape
        mask = torch.stack([0.3 + 0.05 * torch.randn(1, height, width, generator=one) for one in generators])
        pattern = torch.stack([0.2 * torch.randn(channels, height, width, generator=one) for one in generators])
        return mask, pattern

    def apply(self, parameters: Parameters, images: Tensor) -> Tensor:
        mask, pattern = parameters
        return images + mask[:, None] * (pattern_colours(pattern)[:, None] - images)

    def project(self, parameters: Parameters, radius: Tensor) -> Parameters:
        mask, pattern = parameters
        limited = project_mask(mask.flatten(1), radius * mask[0].numel())
        return limited.view_as(mask), pattern.clamp(-MAX_PATTERN, MAX_PATTERN)


@dataclass(frozen=True)
class Additive:
    """δ by its spectrum, whose high frequencies are damped: a smooth change counts as smaller than noise."""

    name: str = "additive"
    start_radius: float = 0.15
    step: float = 0.1
    falloff: float = 0.5

    def start(self, shape: ImageShape, generators: list[Generator]) -> Parameters:
        return (torch.stack([0.01 * torch.randn(shape, generator=one) for one in generators]),)

    def apply(self, parameters: Parameters, images: Tensor) -> Tensor:
        return (images + self.change(parameters)[:, None]).clamp(0, 1)

    def change(self, parameters: Parameters) -> Tensor:
        (white,) = parameters
        height, width = white.shape[-2:]
        damped = torch.fft.rfft2(white) * frequency_gain(height, width, self.falloff)
        return torch.fft.irfft2(damped, s=(height, width))

    def project(self, parameters: Parameters, radius: Tensor) -> Parameters:
        return (limit_rms(parameters[0], radius),)


@dataclass(frozen=True)
class Colour:
    """A matrix on (x, x²) and an offset, the same for every pixel."""

    name: str = "colour"
    start_radius: float = 0.3
    step: float = 0.05

    def start(self, shape: ImageShape, generators: list[Generator]) -> Parameters:
        form = (shape[0], 2 * shape[0] + 1)
        return (torch.stack([0.02 * torch.randn(form, generator=one) for one in generators]),)

    def apply(self, parameters: Parameters, images: Tensor) -> Tensor:
        (matrix,) = parameters
        pixels = images.flatten(3)
        features = torch.cat([pixels, pixels.square(), torch.ones_like(pixels[:, :, :1])], dim=2)
        return (images + (matrix[:, None] @ features).view_as(images)).clamp(0, 1)

    def project(self, parameters: Parameters, radius: Tensor) -> Parameters:
        return (limit_rms(parameters[0], radius),)


@dataclass(frozen=True)
class Warp:
    """Displacements on a grid of 5×5 control points, smooth in between."""

    name: str = "warp"
    start_radius: float = 0.08
    step: float = 0.01
    grid: int = 5

    def start(self, shape: ImageShape, generators: list[Generator]) -> Parameters:
        return (torch.stack([0.02 * torch.randn(2, self.grid, self.grid, generator=one) for one in generators]),)

    def apply(self, parameters: Parameters, images: Tensor) -> Tensor:
        (points,) = parameters
        height, width = images.shape[-2:]
        field = 2 * F.interpolate(points, size=(height, width), mode="bicubic", align_corners=True)
        grid = (pixel_grid(height, width) + field.permute(0, 2, 3, 1)).repeat_interleave(images.shape[1], dim=0)
        warped = F.grid_sample(images.flatten(0, 1), grid, padding_mode="border", align_corners=False)
        return warped.view_as(images)

    def project(self, parameters: Parameters, radius: Tensor) -> Parameters:
        return (limit_rms(parameters[0], radius),)


FAMILIES: dict[str, Family] = {one.name: one for one in (Patch(), Additive(), Colour(), Warp())}


def pattern_colours(pattern: Tensor) -> Tensor:
    """The colours in [0,1] that a patch's pattern stands for."""
    return torch.sigmoid(PATTERN_GAIN * pattern)


def limit_rms(rows: Tensor, radius: Tensor) -> Tensor:
    """Each row scaled down to a root mean square of at most `radius`."""
    size = rows.flatten(1).square().mean(dim=1).sqrt()
    return rows * (radius / size.clamp(min=1e-12)).clamp(max=1).view(-1, *[1] * (rows.ndim - 1))


def project_mask(rows: Tensor, total: Tensor) -> Tensor:
    """Euclidean projection of each row onto `{0 ≤ m ≤ 1, Σm ≤ total}`: a common shift, found by bisection."""
    low, high = torch.zeros(len(rows), 1), rows.max(dim=1, keepdim=True).values.clamp(min=0)
    within = rows.clamp(0, 1).sum(dim=1, keepdim=True) <= total[:, None]
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        small = (rows - middle).clamp(0, 1).sum(dim=1, keepdim=True) <= total[:, None]
        low, high = torch.where(small, low, middle), torch.where(small, middle, high)
    return (rows - torch.where(within, torch.zeros_like(high), high)).clamp(0, 1)


def frequency_gain(height: int, width: int, falloff: float) -> Tensor:
    """Gain of each frequency of `rfft2`, 1 at the coarsest wave."""
    return (nonzero_magnitude(height, width) * max(height, width)).pow(-falloff)
