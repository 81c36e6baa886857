"""Total variation: a pull towards maps of even surfaces between sharp edges, beside the gradient of the score.

What a network of one family asks for and no other understands is mostly fine texture, laid over every surface alike.
The total variation of a map, `Σ |∇m|`, costs as much as its edges are high, and no more where an edge is sharp: its
gradient takes the texture and leaves the outlines.

Formula: L. Rudin, S. Osher, E. Fatemi, "Nonlinear total variation based noise removal algorithms", Physica D 1992; on
maps of classifiers: A. Mahendran, A. Vedaldi, "Understanding deep image representations by inverting them", CVPR 2015.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SLOPE = 0.05  # of a map's standard deviation a pixel: what is flatter than this counts as even


def add_total_variation(gradient: Tensor, maps: Tensor, share: float) -> Tensor:
    """The gradient of the score with that of the maps' total variation, whose length is `share` of its own.

    Both `(N, C, H, W)`. Lengths are taken map by map, so that a share means the same whatever a model's logits are
    worth, and a map does not depend on its company.
    """
    if share == 0:
        return gradient
    evening = differentiate_total_variation(maps)
    length = _measure_lengths(gradient) / _measure_lengths(evening).clamp(min=1e-12)
    return gradient + evening * (share * length).view(-1, 1, 1, 1)


def _measure_lengths(tensors: Tensor) -> Tensor:
    """Row by row and in one layout: the order of a sum depends on both, and a map must not."""
    return torch.stack([one.contiguous().norm() for one in tensors])


def differentiate_total_variation(maps: Tensor) -> Tensor:
    """Gradient of `Σ sqrt(|∇m|² + (SLOPE·std)²)` over the pixels of each map; `|∇m|²` is summed over the channels."""
    maps = maps.contiguous()
    across, down = F.pad(maps.diff(dim=3), (0, 1)), F.pad(maps.diff(dim=2), (0, 0, 0, 1))
    even = torch.stack([one.std() for one in maps]).mul_(SLOPE).clamp_(min=1e-12).view(-1, 1, 1, 1)
    height = (across.square() + down.square()).sum(dim=1, keepdim=True).add_(even**2).sqrt_()
    across, down = across / height, down / height
    return F.pad(across, (1, 0))[..., :-1] - across + F.pad(down, (0, 0, 1, 0))[..., :-1, :] - down
