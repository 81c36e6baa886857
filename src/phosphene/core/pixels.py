"""Where the pixels of an image lie."""

from __future__ import annotations

import torch
from torch import Tensor


def pixel_centres(side: int) -> Tensor:
    """Coordinates of the pixels' centres along a side, in [−1,1], as `grid_sample` takes them."""
    return (2 * torch.arange(side) + 1) / side - 1


def pixel_grid(height: int, width: int) -> Tensor:
    """`(H, W, 2)`: x and y of each pixel's centre in [−1,1]."""
    rows, columns = torch.meshgrid(pixel_centres(height), pixel_centres(width), indexing="ij")
    return torch.stack([columns, rows], dim=-1)
