"""Every method that is compared, by name, in the order of running: what decides the goals first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from benchmarks.peers.dreamlens import DreamLens, DreamLensMaco
from benchmarks.peers.horama import HoramaMaco
from benchmarks.peers.lucent import Lucent
from benchmarks.peers.ours import Preset
from benchmarks.peers.pixels import PixelAscent
from phosphene.model.classifier import Classifier


class Method(Protocol):
    """Pictures `(3, h, w)` in [0,1] of at most `together` classes, of whatever size the tool makes."""

    @property
    def together(self) -> int: ...

    def __call__(self, classifier: Classifier, classes: Sequence[int], seed: int) -> list[Tensor]: ...


@dataclass(frozen=True)
class Entry:
    """A method as one row of the tables.

    `crops` are shares of the picture's side: of pictures that are made by looking at crops, the judges are also shown
    the middle, and the row tells the showing that suits the method best.
    """

    method: Method
    tool: str
    defaults: bool = True  # the tool's own settings, not cut to our number of passes
    classes: int = 100
    seeds: tuple[int, ...] = (0,)
    crops: tuple[float, ...] = (1.0,)
    timed: Method | None = None  # a part of the work ...
    part: float = 1.0  # ... and which: for what would take minutes a class


OURS = "phosphene"
MIDDLES = (1.0, 0.5, 0.275)

METHODS: dict[str, Entry] = {
    "default": Entry(Preset("default"), OURS, seeds=(0, 1, 2)),
    "fast": Entry(Preset("fast"), OURS, seeds=(0, 1, 2)),
    "Lucent, 224 px, 128 passes": Entry(Lucent(128, 224), "Lucent", defaults=False),
    "pixel ascent": Entry(PixelAscent(), "a few lines"),
    "DreamLens": Entry(DreamLens(), "DreamLens"),
    "Horama MACO, 132 passes": Entry(HoramaMaco(22), "Horama", defaults=False, crops=MIDDLES),
    "DreamLens MACO, 128 passes": Entry(DreamLensMaco(128, 1), "DreamLens", defaults=False, crops=MIDDLES),
    "Lucent": Entry(Lucent(), "Lucent", classes=32),
    "best": Entry(Preset("best"), OURS, seeds=(0, 1, 2)),
    "paper": Entry(Preset("paper"), OURS, seeds=(0, 1, 2)),
    "DreamLens MACO": Entry(
        DreamLensMaco(), "DreamLens", classes=12, crops=MIDDLES, timed=DreamLensMaco(8), part=1 / 32
    ),
    "Horama MACO": Entry(HoramaMaco(), "Horama", classes=12, crops=MIDDLES, timed=HoramaMaco(40), part=1 / 25),
}
