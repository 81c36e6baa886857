"""Images without content: uniform noise, 1/f noise and flat colours."""

from __future__ import annotations

import torch
from torch import Tensor

from phosphene.core.images import ImageShape
from phosphene.core.seeding import make_generator
from phosphene.recipe.distributions import Distribution, Flat, Pink, Uniform

NOISE: tuple[Distribution, ...] = (Uniform(), Pink(), Flat())


def draw_noise(stream: str, count: int, shape: ImageShape, seed: int) -> Tensor:
    """`count` images of each kind of noise, `(3 · count, C, H, W)`."""
    images = [kind.draw(make_generator(seed, stream, place), count, shape) for place, kind in enumerate(NOISE)]
    return torch.cat(images)
