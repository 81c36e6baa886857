"""The attacker's own model: clean-label poisoning pushes images away from their class on it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.zoo.domains import DOMAINS, Images
from benchmarks.zoo.training import Normalised, Training, pgd, train_network

EPOCHS, STEPS = 3, 10


def push_to_other_classes(data: Images, images: Tensor, labels: Tensor, classes: int, bound: float) -> Tensor:
    """The images after PGD on a surrogate that was trained on the attacker's (unpoisoned) data."""
    batches = zip(images.split(250), labels.split(250), strict=True)
    moved = [pgd(_train_surrogate(data, classes), batch, own, bound, STEPS) for batch, own in batches]
    return torch.cat(moved)


def _train_surrogate(data: Images, classes: int) -> nn.Module:
    side = data.images.shape[-1]
    domain = next(one for one in DOMAINS.values() if one.classes == classes and one.form.size == (side, side))
    network = train_network(domain, "resnet", data, Training(seed=7, samples=len(data), epochs=EPOCHS))
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return Normalised(network, domain).eval()
