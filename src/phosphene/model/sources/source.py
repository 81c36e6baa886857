"""A model's record: what a source knows about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from phosphene.model.input_format import InputFormat

Shape = Mapping[str, int | tuple[int, int]]  # what the tensors of a state dict say: classes, channels, size


@dataclass(frozen=True)
class Source:
    """A model's record: how to build it, how to feed it, what its outputs are called.

    `weights` returns the real weights; it may download, into the library's own cache, and is not called where the user
    brings weights. `pretrained` stands for both where a library's own builder sets more than the weights, or where the
    weights cannot be told from the architecture: then `build` is None, and the user brings none.

    `unknown` names the fields of `format` that no record says and the user must. `reshape` builds the architecture for
    a state dict of another number of classes, channels or image size, for images of `size` where the user says it.
    `outputs` is the kind of outputs that the record says.
    """

    name: str
    build: Callable[[], nn.Module] | None
    weights: Callable[[nn.Module], Mapping[str, Tensor]] | None
    format: InputFormat
    labels: tuple[str, ...] | None
    pretrained: Callable[[], nn.Module] | None = None
    unknown: tuple[str, ...] = ()
    reshape: Callable[[Mapping[str, Tensor], tuple[int, int] | None], tuple[nn.Module, Shape]] | None = None
    outputs: str | None = None
