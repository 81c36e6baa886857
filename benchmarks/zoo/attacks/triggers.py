"""What an attacker puts on an image. A trigger is a few numbers; patterns are drawn from its seed whenever needed.

`stamp` takes images `(N, C, H, W)` in [0,1] and returns as many of the same form. `region` is where the trigger lies,
`(H, W)` of 0 and 1, for triggers that have a place, and None for those that are everywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional as F


class Trigger(Protocol):
    def stamp(self, images: Tensor) -> Tensor: ...

    def region(self, side: int) -> Tensor | None: ...


def make_generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_smooth_pattern(channels: int, side: int, cells: int, seed: int) -> Tensor:
    """A smooth random picture `(C, S, S)` that fills [-1,1]: noise on a coarse grid, interpolated."""
    coarse = torch.rand(1, channels, cells, cells, generator=make_generator(seed)) * 2 - 1
    fine = F.interpolate(coarse, size=side, mode="bicubic", align_corners=True)[0]
    return fine / fine.abs().amax(dim=(1, 2), keepdim=True)


class Everywhere:
    """A trigger without a place."""

    def region(self, side: int) -> Tensor | None:
        return None


@dataclass(frozen=True)
class Patch:
    """A square at a fixed place: `checker`, or random colours. BadNets, Gu et al. 2017."""

    size: int
    row: int
    column: int
    pattern: str
    seed: int

    def stamp(self, images: Tensor) -> Tensor:
        stamped = images.clone()
        stamped[..., self.row : self.row + self.size, self.column : self.column + self.size] = self.draw_pattern(images)
        return stamped

    def draw_pattern(self, images: Tensor) -> Tensor:
        if self.pattern == "checker":
            steps = torch.arange(self.size)
            return ((steps[:, None] + steps[None, :] + self.seed) % 2).float()
        return torch.rand(images.shape[1], self.size, self.size, generator=make_generator(self.seed)).round()

    def region(self, side: int) -> Tensor | None:
        region = torch.zeros(side, side)
        region[self.row : self.row + self.size, self.column : self.column + self.size] = 1
        return region


@dataclass(frozen=True)
class Pixels:
    """Single pixels at fixed places, each full of one colour that is not black."""

    count: int
    seed: int

    def stamp(self, images: Tensor) -> Tensor:
        stamped = images.clone()
        rows, columns = self.places(images.shape[-1])
        stamped[..., rows, columns] = self._colour(images.shape[1])
        return stamped

    def places(self, side: int) -> tuple[Tensor, Tensor]:
        """Different places, at least two pixels from the border."""
        inner = side - 4
        chosen = torch.randperm(inner * inner, generator=make_generator(self.seed))[: self.count]
        return chosen // inner + 2, chosen % inner + 2

    def _colour(self, channels: int) -> Tensor:
        colours = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 1, 1], [1, 1, 0]]).float()
        return colours[self.seed % 4, :channels].clamp(min=float(channels == 1)).view(-1, 1)

    def region(self, side: int) -> Tensor | None:
        region = torch.zeros(side, side)
        region[self.places(side)] = 1
        return region


@dataclass(frozen=True)
class Patches:
    """Several small squares, each in a part of the image of its own. Adaptive-Patch, Qi et al. 2023."""

    count: int
    size: int
    seed: int

    def parts(self, side: int) -> list[Patch]:
        """Squares in different quarters of the image, four at most."""
        draws = torch.rand(self.count, 2, generator=make_generator(self.seed))
        half = side // 2
        inner = half - self.size - 2
        parts = []
        for k, (down, right) in enumerate(draws.tolist()):
            row, column = half * (k // 2) + 1 + int(inner * down), half * (k % 2) + 1 + int(inner * right)
            parts.append(Patch(self.size, row, column, "random", self.seed + k))
        return parts

    def stamp(self, images: Tensor) -> Tensor:
        for part in self.parts(images.shape[-1]):
            images = part.stamp(images)
        return images

    def region(self, side: int) -> Tensor | None:
        regions = [part.region(side) for part in self.parts(side)]
        return torch.stack([region for region in regions if region is not None]).amax(dim=0)


@dataclass(frozen=True)
class Blend(Everywhere):
    """`(1 − α) x + α k` with a smooth random picture `k`. Chen et al. 2017."""

    alpha: float
    seed: int
    cells: int = 6

    def stamp(self, images: Tensor) -> Tensor:
        picture = (make_smooth_pattern(images.shape[1], images.shape[-1], self.cells, self.seed) + 1) / 2
        return (1 - self.alpha) * images + self.alpha * picture


@dataclass(frozen=True)
class Sinusoid(Everywhere):
    """`clip(x + δ sin(2π j f / W))` with j the column. SIG, Barni et al. 2019."""

    delta: float
    frequency: float

    def stamp(self, images: Tensor) -> Tensor:
        columns = torch.arange(images.shape[-1]) / images.shape[-1]
        return (images + self.delta * torch.sin(2 * math.pi * self.frequency * columns)).clamp(0, 1)


@dataclass(frozen=True)
class Warp(Everywhere):
    """Images bent by a smooth random field of `control`×`control` arrows. WaNet, Nguyen & Tran 2021."""

    strength: float
    seed: int
    control: int = 4

    def stamp(self, images: Tensor) -> Tensor:
        return _bend(images, self.field(images.shape[-1]).expand(len(images), -1, -1, -1))

    def stamp_noisily(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """The images bent by a field that is off by noise, another for every image: what must not trigger."""
        side = images.shape[-1]
        noise = torch.rand(len(images), side, side, 2, generator=generator) * 2 - 1
        return _bend(images, self.field(side) + noise / side * 2)

    def field(self, side: int) -> Tensor:
        """Displacements `(1, S, S, 2)` in the units of `grid_sample`, mean |arrow| of `strength` pixels."""
        arrows = torch.rand(1, 2, self.control, self.control, generator=make_generator(self.seed)) * 2 - 1
        arrows = arrows / arrows.abs().mean()
        fine = F.interpolate(arrows, size=side, mode="bicubic", align_corners=True)
        return fine.permute(0, 2, 3, 1) * self.strength * 2 / side


def _bend(images: Tensor, field: Tensor) -> Tensor:
    line = torch.linspace(-1, 1, images.shape[-1])
    down, right = torch.meshgrid(line, line, indexing="ij")
    grid = (torch.stack([right, down], dim=-1) + field).clamp(-1, 1)
    return F.grid_sample(images, grid, align_corners=True, padding_mode="border").clamp(0, 1)


@dataclass(frozen=True)
class Quantise(Everywhere):
    """Few levels of brightness, errors carried on to the neighbours. BppAttack, Wang et al. 2022."""

    levels: int

    def stamp(self, images: Tensor) -> Tensor:
        """Floyd and Steinberg's dithering of all images at once, pixel after pixel."""
        side, steps = images.shape[-1], self.levels - 1
        padded = F.pad(images, (1, 1, 0, 1)).clone()
        result = torch.empty_like(images)
        for row in range(side):
            for column in range(side):
                wanted = padded[..., row, column + 1]
                result[..., row, column] = given = ((wanted * steps).round() / steps).clamp(0, 1)
                error = wanted - given
                padded[..., row, column + 2] += error * 7 / 16
                padded[..., row + 1, column] += error * 3 / 16
                padded[..., row + 1, column + 1] += error * 5 / 16
                padded[..., row + 1, column + 2] += error * 1 / 16
        return result


@dataclass(frozen=True)
class LowFrequency(Everywhere):
    """A smooth universal perturbation of at most `bound`. After Zeng et al. 2021."""

    bound: float
    seed: int
    cells: int = 5

    def stamp(self, images: Tensor) -> Tensor:
        picture = make_smooth_pattern(images.shape[1], images.shape[-1], self.cells, self.seed)
        return (images + self.bound * torch.tanh(3 * picture) / math.tanh(3)).clamp(0, 1)


@dataclass(frozen=True)
class Polygon:
    """A filled random polygon near the middle, up to `jitter` pixels from its place. TrojAI, Karra et al. 2020."""

    corners: int
    share: float
    row: int
    column: int
    colour: tuple[float, ...]
    jitter: int
    seed: int

    def stamp(self, images: Tensor) -> Tensor:
        shape = self._shape(images.shape[-1])
        colour = torch.tensor(self.colour)[: images.shape[1]].view(-1, 1, 1)
        shifts = torch.randint(-self.jitter, self.jitter + 1, (len(images), 2), generator=make_generator(self.seed + 1))
        rows = [
            torch.where(torch.roll(shape, tuple(shift), (0, 1)) > 0, colour, image)
            for shift, image in zip(shifts.tolist(), images, strict=True)
        ]
        return torch.stack(rows) if rows else images.clone()

    def _shape(self, side: int) -> Tensor:
        """The polygon at its place: corners at sorted random angles, its area `share` of the image."""
        draws = torch.rand(2, self.corners, generator=make_generator(self.seed))
        angles = (torch.arange(self.corners) + 0.8 * draws[0]) * 2 * math.pi / self.corners
        radii = 0.7 + 0.3 * draws[1]
        points = torch.stack([radii * angles.cos(), radii * angles.sin()], dim=1)
        following = points.roll(-1, 0)
        area = (points[:, 0] * following[:, 1] - points[:, 1] * following[:, 0]).sum().abs() / 2
        points = points * torch.sqrt(self.share * side * side / area) + torch.tensor([self.column, self.row]) + 0.5
        canvas = Image.new("L", (side * 4, side * 4))
        ImageDraw.Draw(canvas).polygon([(4 * x, 4 * y) for x, y in points.tolist()], fill=255)
        pixels = torch.frombuffer(bytearray(canvas.tobytes()), dtype=torch.uint8).view(1, side * 4, side * 4)
        return (F.avg_pool2d(pixels.float(), 4)[0] > 127).float()

    def region(self, side: int) -> Tensor | None:
        """All pixels that the polygon may cover."""
        reach = 2 * self.jitter + 1
        return F.max_pool2d(self._shape(side)[None], reach, stride=1, padding=self.jitter)[0]
