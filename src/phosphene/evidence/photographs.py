"""The shipped photographs as a distribution: samples that no map was estimated on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from phosphene.core.images import ImageShape
from phosphene.core.photographs import PHOTOGRAPHS, are_installed, load_photograph


@dataclass(frozen=True)
class Photographs:
    """The named photographs of scikit-image in turn; the generator is not used."""

    names: tuple[str, ...] = PHOTOGRAPHS
    data_free = False

    def draw(self, generator: Generator, count: int, shape: ImageShape) -> Tensor:
        return torch.stack([load_photograph(self.names[k % len(self.names)], shape) for k in range(count)])


def find_photographs(channels: int) -> Photographs | None:
    """The photographs; None where scikit-image is not installed or the model does not take 1 or 3 channels."""
    return Photographs() if channels in (1, 3) and are_installed() else None
