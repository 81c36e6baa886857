"""How a function of this package is called: the node's attributes, beside its inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from phosphene.errors import BadWeights

MAX_ELEMENTS = 2**28  # of a tensor whose size the file states in a few bytes; 1 GiB of float32


@dataclass(frozen=True)
class Call:
    """One node's attributes, the version of its operator set, and how many outputs somebody reads."""

    attributes: Mapping[str, Any]
    version: int
    outputs: int = 1

    def get(self, name: str, default: Any = None) -> Any:
        return self.attributes.get(name, default)


Operator = Callable[..., Any]  # (Call, *inputs) → a tensor, or a tuple of tensors; an absent input is None


def refuse(reason: str) -> BadWeights:
    """An error whose message is completed with the node's name by whoever runs it."""
    return BadWeights(reason)


def to_ints(values: Tensor | Sequence[int] | None) -> list[int] | None:
    """The integers of a tensor or an attribute; None where there is none."""
    if values is None:
        return None
    numbers = values.flatten().tolist() if isinstance(values, Tensor) else values
    return [int(number) for number in numbers]


def need_ints(values: Tensor | Sequence[int] | None, what: str) -> list[int]:
    numbers = to_ints(values)
    if numbers is None:
        raise refuse(f"lacks {what}")
    return numbers


def check_size(shape: Sequence[int]) -> None:
    """Raise `BadWeights` before a tensor is made that no classifier needs."""
    count = 1
    for side in shape:
        count *= max(0, side)
    if count > MAX_ELEMENTS:
        raise refuse(f"would make a tensor of shape {tuple(shape)}; expected at most {MAX_ELEMENTS} numbers")


def axes_of(call: Call, given: Tensor | None) -> list[int] | None:
    """The axes of an operator that takes them as an attribute in old sets and as an input in new ones."""
    return to_ints(given) if given is not None else to_ints(call.get("axes"))


def is_whole(x: Tensor) -> bool:
    """Whether the numbers are integers by type."""
    return not x.is_floating_point() and x.dtype != torch.bool
