"""A model's record: what a source knows about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from phosphene.model.input_format import InputFormat


@dataclass(frozen=True)
class Source:
    """A model's record: how to build it, how to feed it, what its outputs are called.

    `weights` returns the real weights; it may download, into the library's own cache, and is not called where the user
    brings weights.
    """

    name: str
    build: Callable[[], nn.Module]
    weights: Callable[[nn.Module], Mapping[str, Tensor]]
    format: InputFormat
    labels: tuple[str, ...] | None
