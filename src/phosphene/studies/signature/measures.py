"""What a map shows of a trigger: its energy at the trigger's place, its likeness to the trigger's pattern."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

WINDOW = 6  # the side of an image is so many times that of the window that a map's energy is looked for in
ROUGH = 0.25  # cycles a pixel, beyond which a frequency counts as fine


def measure_lift(maps: Tensor, region: Tensor) -> Tensor:
    """Energy of each map `(K, C, S, S)` at the trigger's place over the place's share of the area, `(K,)`: 1 by
    chance."""
    energy = maps.square().sum(dim=1)
    inside = (energy * region).sum(dim=(1, 2)) / energy.sum(dim=(1, 2)).clamp(min=1e-12)
    return inside / region.mean()


def measure_likeness(maps: Tensor, change: Tensor) -> Tensor:
    """Correlation of each map with the mean change `(C, S, S)` that the trigger makes, `(K,)`."""
    centred = maps - maps.mean(dim=(2, 3), keepdim=True)
    pattern = change - change.mean(dim=(1, 2), keepdim=True)
    return F.cosine_similarity(centred.flatten(1), pattern.flatten()[None], dim=1)


def measure_concentration(maps: Tensor) -> Tensor:
    """Largest share of a map's energy in one small window, `(K,)`; needs to know of no trigger."""
    energy, side = maps.square().sum(dim=1, keepdim=True), max(2, round(maps.shape[-1] / WINDOW))
    windows = F.avg_pool2d(energy, side, stride=1) * side**2
    return windows.amax(dim=(1, 2, 3)) / energy.sum(dim=(1, 2, 3)).clamp(min=1e-12)


def measure_roughness(maps: Tensor) -> Tensor:
    """Share of a map's energy in fine frequencies, `(K,)`."""
    power = torch.fft.fft2(maps).abs().square().sum(dim=1)
    steps = torch.fft.fftfreq(maps.shape[-1]).square()
    fine = ((steps[:, None] + steps[None]).sqrt() > ROUGH).float()
    power[:, 0, 0] = 0
    return (power * fine).sum(dim=(1, 2)) / power.sum(dim=(1, 2)).clamp(min=1e-12)


def measure_outlier(values: Tensor) -> float:
    """How far the largest value lies above the median, in standard deviations of the others."""
    others = values.sort().values[:-1]
    return float((values.max() - values.median()) / others.std().clamp(min=1e-6))


def score_maps(maps: Tensor) -> float:
    """A simple rule that knows of no trigger: how far one map stands out in concentration or in roughness."""
    return max(measure_outlier(measure_concentration(maps)), measure_outlier(measure_roughness(maps)))
