"""Passes of fewer images than a full batch that give the very numbers of a full one.

A map must not depend on what is made beside it, so a batch that is not full is filled up. A convolution takes each
image by itself, though, and for most shapes its numbers are the same whatever lies beside it; a product of matrices is
not, for its kernel is chosen by the number of rows, and of some convolutions neither. So a pass may be smaller while
the rows of such products are filled up, and such convolutions ask for the kernel of many images or are filled up too.
Whether the numbers are the same then depends on machine, threads and network: it is tried, never assumed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import Any, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from phosphene.core.cache import Cache
from phosphene.model import pointwise
from phosphene.model.batching import is_out_of_memory

Forward = Callable[[Tensor], Tensor]  # images (N, C, H, W) in [0,1] → logits (N, K)
Pair = tuple[Tensor, Tensor]  # what comes out, and its gradient by what went in

ATEN = torch.ops.aten
PLACES: Mapping[Any, int] = {  # of the rows among the arguments
    **dict.fromkeys((F.linear, torch.mm, torch.matmul, Tensor.mm, Tensor.matmul, Tensor.__matmul__), 0),
    **dict.fromkeys((ATEN.linear.default, ATEN.mm.default, ATEN.matmul.default), 0),
    **dict.fromkeys((torch.addmm, ATEN.addmm.default), 1),
}
ASKED = 0  # images of a convolution that is not filled up, but asks for the kernel of many
CONVOLUTIONS = frozenset((torch.conv2d, ATEN.conv2d.default, ATEN.convolution.default))


def choose_size(known: Cache, forward: Forward, images: Tensor, full: int, about: Hashable = None) -> int:
    """The fewest images of a pass, at least as many as are given, that have the numbers of a pass of `full`.

    Passes without gradients are always full: layers may take another way there, and they are few. `known` keeps what
    was tried of one module; `about` tells what else decides its numbers.
    """
    if not (images.requires_grad and torch.is_grad_enabled()):
        return full
    shape = tuple(images.shape[1:])
    kind = (shape, images.dtype, full, torch.get_num_threads(), about)
    for size in list_sizes(len(images), full):
        if known.get((kind, size), partial(_is_same, known, forward, images, size, full)):
            return size
    return full


def list_sizes(count: int, full: int) -> list[int]:
    """Powers of two between `count` and half of a full batch, fewest first: what saves less does not pay for trying."""
    return [size for size in (2**power for power in range(full.bit_length())) if count <= size <= full // 2]


class FillUp(TorchFunctionMode):
    """Inside, what would have other numbers for `count` images than for `full` is given more: a product of matrices
    with one row for each image all rows, a convolution as many images as its shape needs, or the kernel of many. Only
    theirs are returned.

    Layers, exported programs and graphs are alike in that; what a script does is not seen. `known` keeps what the
    convolutions of one module need. A part is returned as a copy: an activation that changes a part of a tensor in
    place would not be recorded as one, and `change_backward` looks for it.
    """

    def __init__(self, known: Cache, count: int, full: int) -> None:
        super().__init__()
        self.known, self.count, self.full = known, count, full

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        place, dimensions = (0, 4) if function in CONVOLUTIONS else (PLACES.get(function, -1), 2)
        rows, factor = (args[place], args[place + 1]) if 0 <= place < len(args) - 1 else (None, None)
        if not (_has(rows, dimensions) and _has(factor, dimensions)) or len(rows) != self.count:
            return function(*args, **kwargs)

        def call(some: Tensor) -> Tensor:
            made: Tensor = function(*args[:place], some, *args[place + 1 :], **kwargs)
            return made

        full = self.full
        if dimensions == 4:
            parameters = pointwise.find_parameters(args, kwargs)
            full = self._count_images(call, function, args, kwargs, parameters)
            if full == ASKED and parameters is not None:
                return pointwise.convolve(self.known, rows, *parameters)
        return call(rows) if full == self.count else call(_lay(rows, full))[: self.count].clone()

    def _count_images(
        self,
        call: Forward,
        function: Any,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        parameters: tuple[Tensor, Tensor | None] | None,
    ) -> int:
        """How many images a convolution is given, or `ASKED`; tried once for each of its shapes."""
        if not torch.is_grad_enabled():
            return self.full
        given = (*args, *(value for _, value in sorted(kwargs.items())))
        kind = (function, tuple(map(_describe, given)), self.full, torch.get_num_threads())
        other = parameters and (lambda some: pointwise.convolve(self.known, some, *parameters))
        return self.known.get(kind, partial(_count_same, call, args[0], self.full, other))


def _has(factor: object, dimensions: int) -> TypeGuard[Tensor]:
    return isinstance(factor, Tensor) and factor.ndim == dimensions


def _describe(argument: Any) -> Hashable:
    """What of an argument may choose a kernel."""
    if isinstance(argument, Tensor):
        return tuple(argument.shape), argument.stride(), argument.dtype, str(argument.device)
    return tuple(argument) if isinstance(argument, list) else argument


def _lay(rows: Tensor, full: int) -> Tensor:
    """The rows among so many, of which the others are 0; they lie in memory as they did."""
    return F.pad(rows, [0] * (2 * rows.ndim - 1) + [full - len(rows)])


def _count_same(call: Forward, like: Tensor, full: int, other: Forward | None) -> int:
    """The fewest images, at least as many as are given, for which a convolution has the numbers of a full pass; `ASKED`
    where its `other` kernel has them of fewer."""
    with torch.enable_grad():
        generator = torch.Generator().manual_seed(0)
        images = _lay(like.detach(), full)
        images = torch.empty_like(images).copy_(torch.rand(images.shape, generator=generator))
        expected = _differentiate(call, images)

        def is_same(size: int, call: Forward) -> bool:
            parts = (slice(size), slice(full - size, full))
            return _are_parts([_differentiate(call, images[part]) for part in parts], expected, parts)

        first, *more = list_sizes(len(like), full) or [full]
        if first == full or is_same(first, call):
            return first
        if other is not None and is_same(len(like), other):
            return ASKED
        return next((size for size in more if is_same(size, call)), full)


def _are_parts(found: Sequence[Pair], expected: Pair, parts: Sequence[slice]) -> bool:
    return all(
        torch.equal(one, other[part])
        for part, alone in zip(parts, found, strict=True)
        for one, other in zip(alone, expected, strict=True)
    )


def _is_same(known: Cache, forward: Forward, like: Tensor, size: int, full: int) -> bool:
    """Whether the first and the last `size` of noise images have the same logits and gradients alone as among all."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(full, *like.shape[1:], generator=generator).to(like)
    try:
        expected = _differentiate(forward, images)
        with FillUp(known, size, full):
            parts = (slice(size), slice(full - size, full))
            found = [_differentiate(forward, images[part]) for part in parts]
        return _are_parts(found, expected, parts)
    except Exception as error:  # the user's own module may raise anything
        if is_out_of_memory(error):
            raise
        return False


def _differentiate(forward: Forward, images: Tensor) -> Pair:
    """What comes out, and the gradient by what went in of a sum of it with random weights."""
    images = images.clone().requires_grad_()
    made = forward(images)
    weights = torch.randn(made.shape[1:], generator=torch.Generator().manual_seed(1)).to(made)
    (gradient,) = torch.autograd.grad((made * weights).sum(), images)
    return made.detach(), gradient
