"""Numbers of heat maps: how much of one lies in a region, how two of them correlate."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from scipy.stats import spearmanr
from torch import Tensor

CELLS = 14  # side of the grid on which maps are ranked: the resolution of the coarsest methods


def measure_share(heat: Tensor, region: Tensor) -> float:
    """The share of a heat map `(H, W)` ≥ 0 in a region `(H, W)` of 0 and 1; an empty map counts as uniform."""
    total = heat.sum()
    return float((heat * region).sum() / total) if total > 0 else float(region.mean())


def correlate_ranks(one: Tensor, other: Tensor, cells: int = CELLS) -> float:
    """Spearman's correlation of two maps `(H, W)` on a grid of `cells`; 0 where one of them is constant."""
    values = [pool_cells(heat, cells).flatten().numpy() for heat in (one, other)]
    if any(value.min() == value.max() for value in values):
        return 0.0
    return float(spearmanr(*values).statistic)


def correlate_pairs(heats: Sequence[Tensor]) -> list[float]:
    """The rank correlation of every two of the maps."""
    return [correlate_ranks(heats[i], heats[j]) for i in range(len(heats)) for j in range(i)]


def pool_cells(heat: Tensor, cells: int = CELLS) -> Tensor:
    """Mean of `(H, W)` in each of `cells × cells` squares."""
    return F.adaptive_avg_pool2d(heat[None].float(), min(cells, *heat.shape))[0]
