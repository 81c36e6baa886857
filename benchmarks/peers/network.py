"""The network as other tools receive it, and how many images went through it forward and backward."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from phosphene.core.hooks import forward_hooks
from phosphene.model.classifier import Classifier


@dataclass
class Passes:
    """Images that went forward through a module, and those of them whose gradient came back.

    An image of fewer pixels than the network's own counts by its share of them, a larger one as one.
    """

    forward: float = 0.0
    backward: float = 0.0


@contextmanager
def count_passes(module: nn.Module, size: tuple[int, int]) -> Iterator[Passes]:
    """Counts of what runs inside, in images of the network's own `size`; rows that only pad a batch are counted too."""
    passes = Passes()

    def count_backward(rows: float) -> None:
        passes.backward += rows

    def count_forward(_: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        height, width = inputs[0].shape[2:]
        rows = output.shape[0] * min(1.0, height * width / (size[0] * size[1]))
        passes.forward += rows
        if output.requires_grad:
            output.register_hook(lambda gradient: count_backward(rows))

    with forward_hooks([(module, count_forward)]):
        yield passes


class NormalizedNetwork(nn.Module):
    """A network that takes images in [0,1]: for tools that know no normalisation but torchvision's."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.mean, self.std = classifier.format.mean, classifier.format.std
        self.network = classifier.module

    def forward(self, images: Tensor) -> Any:
        return self.network(normalize_images(images, self.mean, self.std))


def normalize_images(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Images `(N, C, H, W)` in [0,1] as the network wants them."""
    return (images - images.new_tensor(mean).view(1, -1, 1, 1)) / images.new_tensor(std).view(1, -1, 1, 1)


def set_seeds(seed: int, index: int) -> None:
    """Every source of chance that the rivals draw from, by seed and class: never by what was made before."""
    number = zlib.crc32(f"{seed}/{index}".encode())
    torch.manual_seed(number)
    np.random.seed(number)
