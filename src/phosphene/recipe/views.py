"""Views `T`: small random placements of the map."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor


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

    def weaken(self, share: float) -> Views:
        """Placements that go a `share` in [0,1] as far: 1 these, 0 none at all."""
        zoom = (1 + share * (self.zoom[0] - 1), 1 + share * (self.zoom[1] - 1))
        return Views(share * self.shift, zoom, share * self.rotation)

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
    compute the grid anew, and the maps matter only to the gradient by the grid, which is not used.
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


@functools.lru_cache(maxsize=8)
def _pixel_centres(side: int, device: torch.device) -> Tensor:
    """Coordinates of the pixels' centres along a side, in [−1,1]."""
    return (2 * torch.arange(side, device=device) + 1) / side - 1
