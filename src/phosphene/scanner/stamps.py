"""Random changes without a meaning, to be laid on images `(n, C, H, W)`: each function draws `(count, n, C, H, W)`."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from phosphene.core.pixels import pixel_grid

MAX_SIDE = 5  # of a patch in pixels of a small image, and in twenty-eighths of a large one
AREA = (0.02, 0.20)  # share of the image that a polygon covers before it is cut to its corners
AMPLITUDE = (0.10, 0.22)  # of waves, in units of the range of an image
PERIODS = (1.0, 10.0)  # of waves in an image
OPACITY = (0.10, 0.35)  # of a picture that is blended in
BEND = (0.5, 2.0)  # mean displacement of a warp at its control points, in pixels of a side of 28

Stamp = Callable[[Tensor, Generator, int], Tensor]


def draw_polygons(images: Tensor, generator: Generator, count: int) -> Tensor:
    """Convex polygons of one colour, most of them of a pure one."""
    channels, (height, width) = images.shape[1], images.shape[-2:]
    masks = torch.stack([_draw_polygon(generator, height, width) for _ in range(count)])[:, None, None]
    colours = torch.rand(count, 1, channels, 1, 1, generator=generator)
    pure = torch.rand(count, 1, channels, 1, 1, generator=generator) < 0.7
    return images * (1 - masks) + masks * torch.where(pure, colours.round(), colours)


def _draw_polygon(generator: Generator, height: int, width: int) -> Tensor:
    """A mask `(H, W)`: corners on a circle in the order of their angles."""
    corners = int(torch.randint(3, 10, (1,), generator=generator))
    area = float(torch.empty(1).uniform_(*AREA, generator=generator))
    side = min(height, width)
    radius = 1.2 * math.sqrt(area / math.pi) * side
    angles = (2 * math.pi * torch.rand(corners, generator=generator)).sort().values
    edge = min(radius, side / 2 - 1)
    middle = edge + (torch.tensor([width, height]) - 2 * edge) * torch.rand(2, generator=generator)
    x, y = middle[0] + radius * angles.cos(), middle[1] + radius * angles.sin()
    across, down = torch.meshgrid(torch.arange(width) + 0.5, torch.arange(height) + 0.5, indexing="xy")
    to_x, to_y = x.roll(-1) - x, y.roll(-1) - y
    left = to_x[:, None, None] * (down - y[:, None, None]) - to_y[:, None, None] * (across - x[:, None, None])
    return (left >= 0).all(dim=0).float()


def draw_patches(images: Tensor, generator: Generator, count: int) -> Tensor:
    """Squares of a few pixels: checkers, one colour, and noise in turns."""
    channels, (height, width) = images.shape[1], images.shape[-2:]
    side = min(height, width)
    unit, most = max(1, side // 28), min(MAX_SIDE, side)
    stamped = images.expand(count, *images.shape).clone()
    for place in range(count):
        size = int(torch.randint(1, most + 1, (1,), generator=generator))
        row, column = (
            int(torch.randint(0, length - size * unit + 1, (1,), generator=generator)) for length in (height, width)
        )
        pattern = _draw_pattern(generator, channels, size, place)
        enlarged = pattern.repeat_interleave(unit, dim=1).repeat_interleave(unit, dim=2)
        stamped[place, :, :, row : row + size * unit, column : column + size * unit] = enlarged
    return stamped


def _draw_pattern(generator: Generator, channels: int, size: int, place: int) -> Tensor:
    noise = (torch.rand(channels, size, size, generator=generator) > 0.5).float()
    if place % 3 == 0:
        return ((torch.arange(size)[:, None] + torch.arange(size)) % 2).float().expand_as(noise)
    if place % 3 == 1:
        return (torch.rand(channels, 1, 1, generator=generator) > 0.4).float().expand_as(noise)
    return noise


def draw_colours(images: Tensor, generator: Generator, count: int) -> Tensor:
    """Gamma, a mixture of the channels, an offset, contrast."""
    channels = images.shape[1]
    mixture = torch.eye(channels) + 0.35 * torch.randn(count, 1, channels, channels, generator=generator)
    offset = 0.15 * torch.randn(count, 1, channels, 1, generator=generator)
    gamma, contrast = (torch.exp(spread * torch.randn(count, 1, 1, 1, generator=generator)) for spread in (0.5, 0.4))
    pixels = images.flatten(2).clamp(min=1e-4) ** gamma
    changed = ((mixture @ pixels + offset - 0.5) * contrast + 0.5).clamp(0, 1)
    return changed.unflatten(3, images.shape[-2:])


def draw_blends(images: Tensor, generator: Generator, count: int) -> Tensor:
    """A smooth picture of random colours, blended in."""
    channels, shape = images.shape[1], images.shape[-2:]
    pictures = []
    for cells in torch.randint(2, 9, (count,), generator=generator).tolist():
        coarse = torch.rand(1, channels, cells, cells, generator=generator)
        pictures.append(F.interpolate(coarse, shape, mode="bicubic", align_corners=True).clamp(0, 1))
    opacity = torch.empty(count, 1, 1, 1, 1).uniform_(*OPACITY, generator=generator)
    return images + opacity * (torch.stack(pictures) - images)


def draw_waves(images: Tensor, generator: Generator, count: int) -> Tensor:
    """One sinusoid added: along, across or at any angle; every second with whole periods."""
    periods = torch.empty(count, 1, 1).uniform_(*PERIODS, generator=generator)
    periods[::2] = periods[::2].round()
    angles = math.pi * torch.rand(count, 1, 1, generator=generator)
    angles[::3], angles[1::3] = 0.0, math.pi / 2
    phases = 2 * math.pi * torch.rand(count, 1, 1, generator=generator)
    amplitude = torch.empty(count, 1, 1).uniform_(*AMPLITUDE, generator=generator)
    down, across = (torch.arange(size) / size for size in images.shape[-2:])
    path = across[None, None, :] * angles.cos() + down[None, :, None] * angles.sin()
    wave = amplitude * torch.sin(2 * math.pi * periods * path + phases)
    return (images + wave[:, None, None]).clamp(0, 1)


def draw_warps(images: Tensor, generator: Generator, count: int) -> Tensor:
    """The images resampled along a smooth field of displacements."""
    height, width = images.shape[-2:]
    strength = torch.empty(count).uniform_(*BEND, generator=generator)
    warped = []
    for place, cells in enumerate(torch.randint(3, 7, (count,), generator=generator).tolist()):
        points = 2 * torch.rand(1, 2, cells, cells, generator=generator) - 1
        points = points / points.abs().mean() * strength[place] * 2 / 28
        field = F.interpolate(points, size=(height, width), mode="bicubic", align_corners=True)
        grid = (pixel_grid(height, width) + field.permute(0, 2, 3, 1)).expand(len(images), -1, -1, -1)
        warped.append(F.grid_sample(images, grid, padding_mode="border", align_corners=False))
    return torch.stack(warped)


STAMPS: dict[str, Stamp] = {
    "patch": draw_patches,
    "polygon": draw_polygons,
    "colour": draw_colours,
    "blend": draw_blends,
    "wave": draw_waves,
    "warp": draw_warps,
}
