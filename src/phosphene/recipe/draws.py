"""Draws: the samples and views of one iteration, and the maps laid on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from phosphene.core.images import ImageShape
from phosphene.recipe.distributions import Distribution
from phosphene.recipe.views import Views, place


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


def overlay(draws: Draws, maps: Tensor, compose: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """`x_k ⊕ τ_k m`: every sample carrying its map, `(maps·n, C, H, W)`."""
    repeated = maps.repeat_interleave(draws.count, dim=0) if draws.count > 1 else maps
    return compose(draws.samples.to(maps.device), place(repeated, draws.views))
