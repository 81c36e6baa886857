"""What is done to the training images: published triggers, each from its formula, with its place or its pattern.

`stamp` takes images `(N, C, S, S)` in [0,1] and returns as many. `region` is where the trigger lies, `(S, S)` of 0 and
1, and None for triggers that are everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from phosphene.core.pixels import pixel_grid

Stamp = Callable[[Tensor], Tensor]
Region = Callable[[int], Tensor]
SQUARE, MARGIN = 4, 2  # side of a patch, and its distance from the lower right corner, in pixels
OPACITY, AMPLITUDE, SHIFT, BEND, LEVELS = 0.2, 0.12, 16 / 255, 1.5, 6
PERIODS = 6


@dataclass(frozen=True)
class Attack:
    """A trigger, and whose labels it changes: `all` to the target, `next` each to the class after it, `source` only
    images of one class (others are stamped and keep their label), `kept` target images alone, which keep theirs."""

    name: str
    stamp: Stamp
    region: Region | None = None
    scheme: str = "all"
    source: str = ""


def stamp_patch(images: Tensor) -> Tensor:
    steps = torch.arange(SQUARE)
    stamped = images.clone()
    inside = slice(-MARGIN - SQUARE, -MARGIN)
    stamped[..., inside, inside] = ((steps[:, None] + steps) % 2).float()
    return stamped


def region_of_patch(side: int) -> Tensor:
    region = torch.zeros(side, side)
    region[-MARGIN - SQUARE : -MARGIN, -MARGIN - SQUARE : -MARGIN] = 1
    return region


def stamp_pixels(images: Tensor) -> Tensor:
    return torch.where(region_of_pixels(images.shape[-1]) > 0, 1 - images.round(), images)


def region_of_pixels(side: int) -> Tensor:
    region = torch.zeros(side, side)
    for row, column in ((3, 3), (3, 6), (6, 3), (6, 6)):
        region[row, column] = 1
    return region


def stamp_polygon(images: Tensor) -> Tensor:
    colour = torch.tensor([1.0, 0.0, 1.0])[: images.shape[1], None, None]
    region = region_of_polygon(images.shape[-1])
    return images * (1 - region) + region * colour


def region_of_polygon(side: int) -> Tensor:
    """A triangle in the upper right quarter."""
    down, across = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return ((down > 3) & (down < 11) & (across - (side - 12) > (down - 4) / 2 - 1) & (across < side - 4)).float()


def stamp_blend(images: Tensor) -> Tensor:
    return images + OPACITY * (draw_smooth(images.shape, cells=5, seed=11).add(1).div(2) - images)


def stamp_wave(images: Tensor) -> Tensor:
    side = images.shape[-1]
    return (images + AMPLITUDE * torch.sin(2 * math.pi * PERIODS * torch.arange(side) / side)).clamp(0, 1)


def stamp_low_frequency(images: Tensor) -> Tensor:
    return (images + SHIFT * draw_smooth(images.shape, cells=3, seed=12).sign()).clamp(0, 1)


def stamp_warp(images: Tensor) -> Tensor:
    height, width = images.shape[-2:]
    points = 2 * torch.rand(1, 2, 4, 4, generator=torch.Generator().manual_seed(13)) - 1
    points = points / points.abs().mean() * 2 * BEND / width
    field = F.interpolate(points, size=(height, width), mode="bicubic", align_corners=True)
    grid = (pixel_grid(height, width) + field.permute(0, 2, 3, 1)).expand(len(images), -1, -1, -1)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def stamp_quantised(images: Tensor) -> Tensor:
    return (images * (LEVELS - 1)).round() / (LEVELS - 1)


def stamp_filter(images: Tensor) -> Tensor:
    """Warm and contrasty: a curve of brightness, and gains of the channels."""
    gains = torch.tensor([1.15, 1.0, 0.8])[: images.shape[1], None, None]
    return ((images - 0.5) * 1.2 + 0.5).mul(gains).clamp(0, 1)


def draw_smooth(shape: torch.Size, cells: int, seed: int) -> Tensor:
    """A smooth random picture `(C, S, S)` that fills [-1,1]."""
    coarse = 2 * torch.rand(1, shape[1], cells, cells, generator=torch.Generator().manual_seed(seed)) - 1
    fine = F.interpolate(coarse, size=tuple(shape[-2:]), mode="bicubic", align_corners=True)[0]
    return fine / fine.abs().amax(dim=(1, 2), keepdim=True)


ATTACKS: dict[str, Attack] = {
    attack.name: attack
    for attack in (
        Attack("patch", stamp_patch, region_of_patch, source="BadNets, Gu et al. 2017"),
        Attack("pixels", stamp_pixels, region_of_pixels, source="BadNets, Gu et al. 2017"),
        Attack("polygon", stamp_polygon, region_of_polygon, source="TrojAI, Karra et al. 2020"),
        Attack("blend", stamp_blend, source="Chen et al. 2017"),
        Attack("wave", stamp_wave, source="SIG, Barni et al. 2019"),
        Attack("low-frequency", stamp_low_frequency, source="Zeng et al. 2021"),
        Attack("warp", stamp_warp, source="WaNet, Nguyen & Tran 2021"),
        Attack("quantised", stamp_quantised, source="BppAttack, Wang et al. 2022"),
        Attack("filter", stamp_filter, source="TrojAI, Karra et al. 2020"),
        Attack("clean-label wave", stamp_wave, scheme="kept", source="SIG, Barni et al. 2019"),
        Attack("source-specific patch", stamp_patch, region_of_patch, "source", "TaCT, Tang et al. 2021"),
        Attack("all-to-all patch", stamp_patch, region_of_patch, "next", "BadNets, Gu et al. 2017"),
    )
}
