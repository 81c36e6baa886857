"""Maps as stamps: brought to one contrast, and scrambled into random controls."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from phosphene.method.scaling import display_scale
from phosphene.recipe.recipe import Recipe
from phosphene.runs.saliency import SaliencyMap


def make_stamp(saliency: SaliencyMap) -> Tensor:
    """The map `(C, H, W)` at the contrast it is displayed at (step 5 of the method, *scale*), so that all stamps are of
    equal strength."""
    scale = display_scale(saliency.map[None], Recipe.from_json(saliency.recipe))
    return saliency.map * scale[0]


def scramble_phases(saliency: Tensor, count: int, generator: Generator) -> Tensor:
    """`count` random maps of the norm, colours and spectrum of `saliency` `(C, H, W)`, with random phases.

    Only the arrangement is lost. That is a harder control than white noise, which a model ignores whatever its norm.
    """
    noise = torch.fft.rfft2(torch.randn(count, 1, *saliency.shape[1:], generator=generator))
    phases = noise / noise.abs().clamp(min=1e-12)
    return torch.fft.irfft2(torch.fft.rfft2(saliency) * phases, s=saliency.shape[1:])


def center_logits(logits: Tensor) -> Tensor:
    """Logits `(N, K)` minus their mean over classes: what all classes gain together changes no prediction."""
    return logits - logits.mean(dim=1, keepdim=True)
