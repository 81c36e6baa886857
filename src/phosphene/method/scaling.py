"""Scale: the map at the contrast of a photograph, for display and stamping. Step 5 of the method."""

from __future__ import annotations

import torch
from torch import Tensor

from phosphene.recipe.compositions import COMPOSITIONS, CONTRAST
from phosphene.recipe.recipe import Recipe

GREY = 0.5


def render_pictures(maps: Tensor, recipe: Recipe, scale: Tensor | None = None) -> Tensor:
    """The maps on mid-grey, `(N, C, H, W)` in [0,1], scaled for display: nothing but what the model put there."""
    scale = display_scale(maps, recipe) if scale is None else scale
    return COMPOSITIONS[recipe.composition](torch.full_like(maps, GREY), maps * scale)


def display_scale(maps: Tensor, recipe: Recipe) -> Tensor:
    """Factors `(N, 1, 1, 1)` that give each map the contrast of a photograph; step 5 of the method, *scale*."""
    deviation = maps.flatten(1).std(dim=1, correction=0).view(-1, 1, 1, 1)
    return CONTRAST[recipe.composition] / deviation.clamp(min=1e-6)
