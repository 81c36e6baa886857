"""Passes of fewer images than a full batch that give the very numbers of a full one.

A map must not depend on what is made beside it, so a batch that is not full is filled up. A convolution takes each
image by itself, though, and in most builds its numbers are the same whatever lies beside it; a product of matrices is
not, for its kernel is chosen by the number of rows. So a pass may be smaller while the rows of such products are
filled up. Whether the numbers are the same then depends on machine, threads and network: it is tried, never
assumed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from functools import partial
from typing import Any, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from phosphene.core.cache import Cache
from phosphene.model.batching import is_out_of_memory

Forward = Callable[[Tensor], Tensor]  # images (N, C, H, W) in [0,1] → logits (N, K)

ATEN = torch.ops.aten
PLACES: Mapping[Any, int] = {  # of the rows among the arguments
    **dict.fromkeys((F.linear, torch.mm, torch.matmul, Tensor.mm, Tensor.matmul, Tensor.__matmul__), 0),
    **dict.fromkeys((ATEN.linear.default, ATEN.mm.default, ATEN.matmul.default), 0),
    **dict.fromkeys((torch.addmm, ATEN.addmm.default), 1),
}


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
        if known.get((kind, size), partial(_is_same, forward, images, size, full)):
            return size
    return full


def list_sizes(count: int, full: int) -> list[int]:
    """Powers of two between `count` and half of a full batch, fewest first: what saves less does not pay for trying."""
    return [size for size in (2**power for power in range(full.bit_length())) if count <= size <= full // 2]


class FillRows(TorchFunctionMode):
    """Inside, a product of matrices with one row for each of `count` images has `full` rows, of which those are
    returned. Layers, exported programs and graphs are alike in that; what a script does is not seen."""

    def __init__(self, count: int, full: int) -> None:
        super().__init__()
        self.count, self.full = count, full

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        place, kwargs = PLACES.get(function, -1), kwargs or {}
        rows = args[place] if 0 <= place < len(args) else None
        factor = args[place + 1] if 0 <= place < len(args) - 1 else None
        if not (_is_matrix(rows) and _is_matrix(factor)) or len(rows) != self.count:
            return function(*args, **kwargs)
        filled = torch.cat([rows, rows.new_zeros(self.full - self.count, rows.shape[1])])
        return function(*args[:place], filled, *args[place + 1 :], **kwargs)[: self.count]


def _is_matrix(factor: object) -> TypeGuard[Tensor]:
    return isinstance(factor, Tensor) and factor.ndim == 2


def _is_same(forward: Forward, like: Tensor, size: int, full: int) -> bool:
    """Whether the first and the last `size` of noise images have the same logits and gradients alone as among all."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(full, *like.shape[1:], generator=generator).to(like)
    try:
        expected = _differentiate(forward, images)
        with FillRows(size, full):
            found = [_differentiate(forward, images[part]) for part in (slice(size), slice(full - size, full))]
        return all(
            torch.equal(one, other)
            for part, alone in zip((slice(size), slice(full - size, full)), found, strict=True)
            for one, other in zip(alone, (expected[0][part], expected[1][part]), strict=True)
        )
    except Exception as error:  # the user's own module may raise anything
        if is_out_of_memory(error):
            raise
        return False


def _differentiate(forward: Forward, images: Tensor) -> tuple[Tensor, Tensor]:
    """Logits, and the gradient by the images of a sum of them with random weights."""
    images = images.clone().requires_grad_()
    logits = forward(images)
    weights = torch.randn(logits.shape[1], generator=torch.Generator().manual_seed(1)).to(logits)
    (gradient,) = torch.autograd.grad((logits * weights).sum(), images)
    return logits.detach(), gradient
