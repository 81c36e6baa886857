"""What a network is fed: size, channels and normalisation, from the weights' own record or from the user."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from phosphene.errors import BadInput


@dataclass(frozen=True)
class InputFormat:
    """Images `(channels, *size)` in [0,1], normalised as `(image − mean) / std`; one value a channel, or one for all.

    Raises `BadInput` where the numbers make no sense.
    """

    size: tuple[int, int]
    channels: int = 3
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        self._take_single_numbers()
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, self.channels):
                raise BadInput(
                    f"{name} has {len(values)} values for {self.channels} channels; give 1 or {self.channels}"
                )
        if min(self.size) < 1 or self.channels < 1:
            raise BadInput(f"size {self.size} with {self.channels} channels; expected positive numbers")
        if min(self.std) <= 0:
            raise BadInput(f"std {self.std}; expected positive numbers")

    def _take_single_numbers(self) -> None:
        """`InputFormat(28, mean=0.5)`: one side for both, one value for all channels; lists become tuples."""
        if isinstance(self.size, str):
            raise BadInput(f"size is the text {self.size!r}; expected a side, or height and width")
        try:
            size = (self.size, self.size) if isinstance(self.size, int) else tuple(map(int, self.size))
            mean, std = (
                tuple(map(float, values)) if isinstance(values, Iterable) else (float(values),)
                for values in (self.mean, self.std)
            )
        except (TypeError, ValueError) as error:
            raise BadInput(f"an input format of {self.size}, {self.mean}, {self.std}: {error}") from error
        if len(size) != 2:
            raise BadInput(f"size is {size}; expected a side, or height and width")
        for name, value in (("size", size), ("mean", mean), ("std", std)):
            object.__setattr__(self, name, value)
