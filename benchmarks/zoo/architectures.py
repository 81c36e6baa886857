"""All architectures of the zoo by name, and how each is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.zoo.deeper import DEEPER
from benchmarks.zoo.small import SMALL, Network

ARCHITECTURES: dict[str, Callable[[int, int], Network]] = {**SMALL, **DEEPER}


@dataclass(frozen=True)
class Recipe:
    """`rate` is the largest of the cycle, `longer` and `images` are factors of the epochs and images; `half` trains in
    bfloat16 where that is faster."""

    rate: float
    batch: int = 64
    longer: float = 1.0
    images: float = 1.0
    half: bool = False


RECIPES: dict[str, Recipe] = {
    "vgg": Recipe(8e-3),
    "resnet": Recipe(8e-3),
    "separable": Recipe(8e-3),
    "plain": Recipe(3e-3),
    "vit": Recipe(4e-3, batch=32),  # it needs more steps, not more images
    "resnet20": Recipe(8e-3, longer=1.3, half=True),
    "resnet32": Recipe(8e-3, longer=1.3, half=True),
    "wide16": Recipe(6e-3, longer=1.3, half=True),
    "vgg8": Recipe(3e-3, longer=1.5, half=True),
    "mobilenet": Recipe(6e-3, longer=1.3),
    "convmixer": Recipe(8e-3, longer=1.3),
    "vit4": Recipe(2e-3, batch=32, longer=1.4, images=1.8),
    "vit6": Recipe(2e-3, batch=32, longer=1.2, images=1.8),
}
