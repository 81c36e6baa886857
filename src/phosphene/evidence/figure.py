"""What a measure may have drawn beside its table: plain data, which the report draws by its type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Curves:
    """Lines over shares in [0,1]; every line starts at 0 and has one value a share, else `ValueError`. `lines` is by
    legend."""

    title: str
    shares: Sequence[float]
    lines: Mapping[str, Sequence[float]]

    def __post_init__(self) -> None:
        if any(len(line) != len(self.shares) for line in self.lines.values()):
            raise ValueError(f"a line has another number of values than the {len(self.shares)} shares")


@dataclass(frozen=True)
class Matrix:
    """Shares by name of row and column."""

    title: str
    note: str
    names: Sequence[str]
    values: Sequence[Sequence[float]]

    def __post_init__(self) -> None:
        if {len(self.values), *map(len, self.values)} - {len(self.names)}:
            raise ValueError(f"a matrix of {len(self.names)} names is not as large")


@dataclass(frozen=True)
class RemadeMaps:
    """The first maps of the run, each beside the maps of the same concept in other folders.

    `folders` is by title, relative to the entry `made_in` that the measure has written into the map's own scores.
    """

    folders: Mapping[str, str]


Figure = Curves | Matrix | RemadeMaps
