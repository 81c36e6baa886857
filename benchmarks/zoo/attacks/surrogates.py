"""The attacker's own model: clean-label poisoning pushes images away from their class on it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.zoo.domains import DOMAINS, Images
from benchmarks.zoo.training import Normalised, Training, pgd, trained

EPOCHS, STEPS = 3, 10


def towards_others(data: Images, images: Tensor, labels: Tensor, classes: int, bound: float) -> Tensor:
    """The images after PGD on a surrogate that was trained on the attacker's (unpoisoned) data."""
    return torch.cat([pgd(_surrogate(data, classes), part, of, bound, STEPS)
                      for part, of in zip(images.split(250), labels.split(250), strict=True)])  # fmt: skip


def _surrogate(data: Images, classes: int) -> nn.Module:
    side = data.images.shape[-1]
    domain = next(one for one in DOMAINS.values() if one.classes == classes and one.form.size == (side, side))
    network = trained(domain, "resnet", data, Training(seed=7, samples=len(data), epochs=EPOCHS))
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return Normalised(network, domain).eval()
