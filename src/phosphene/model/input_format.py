"""What a network is fed: size, channels and normalisation, from the weights' own record or from the user."""

from __future__ import annotations

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
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, self.channels):
                raise BadInput(
                    f"{name} has {len(values)} values for {self.channels} channels; give 1 or {self.channels}"
                )
        if min(self.size) < 1 or self.channels < 1:
            raise BadInput(f"size {self.size} with {self.channels} channels; expected positive numbers")
        if min(self.std) <= 0:
            raise BadInput(f"std {self.std}; expected positive numbers")
