"""Passes of fewer images than a full batch that give the very numbers of a full one.

A map must not depend on what is made beside it, so a batch that is not full is filled up. A convolution takes each
image by itself, though, and in most builds its numbers are the same whatever lies beside it; a product of matrices is
not, for its kernel is chosen by the number of rows. So a pass may be smaller while the rows that linear layers receive
are filled up. Whether the numbers are the same then depends on machine, threads and network: it is tried, never
assumed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from phosphene.core.hooks import forward_hooks, is_hookable, pre_hooks
from phosphene.core.images import ImageShape
from phosphene.model.batching import is_out_of_memory
from phosphene.model.probe import probe_images

Forward = Callable[[Tensor], Tensor]  # images (N, C, H, W) in [0,1] → logits (N, K)
Kind = tuple[ImageShape, torch.dtype, int, int]  # shape and numbers of an image, images of a full batch, threads

_TRIED: WeakKeyDictionary[nn.Module, dict[tuple[Kind, int], bool]] = WeakKeyDictionary()


def choose_size(module: nn.Module, forward: Forward, images: Tensor, full: int) -> int:
    """The fewest images of a pass, at least as many as are given, that have the numbers of a pass of `full`.

    What was not tried yet is tried where gradients are asked for: outside of the search for a map it does not pay.
    """
    channels, height, width = images.shape[1:]
    shape = (channels, height, width)
    kind, known = (shape, images.dtype, full, torch.get_num_threads()), _TRIED.setdefault(module, {})
    for size in list_sizes(len(images), full):
        if (kind, size) not in known:
            if not (images.requires_grad and torch.is_grad_enabled()):
                return full
            known[kind, size] = _is_same(module, forward, probe_images(shape, full).to(images), size)
        if known[kind, size]:
            return size
    return full


def list_sizes(count: int, full: int) -> list[int]:
    """Powers of two between `count` and half of a full batch, fewest first: what saves less does not pay for trying."""
    return [size for size in (2**power for power in range(full.bit_length())) if count <= size <= full // 2]


@contextlib.contextmanager
def fill_rows(module: nn.Module, full: int) -> Iterator[None]:
    """Inside, linear layers that receive fewer than `full` rows compute as many, and return those that they were
    given."""
    counts: list[int] = []

    def fill(layer: nn.Module, inputs: tuple[object, ...]) -> object:
        rows = inputs[0]
        if not isinstance(rows, Tensor) or rows.ndim != 2:
            counts.append(-1)
            return None
        counts.append(len(rows))
        empty = rows.new_zeros(max(0, full - len(rows)), rows.shape[1])
        return (torch.cat([rows, empty]), *inputs[1:])

    def cut(layer: nn.Module, inputs: tuple[object, ...], output: object) -> object:
        count = counts.pop()
        return output[:count] if isinstance(output, Tensor) and count >= 0 else output

    layers = [layer for layer in module.modules() if isinstance(layer, nn.Linear) and is_hookable(layer)]
    with pre_hooks((layer, fill) for layer in layers), forward_hooks((layer, cut) for layer in layers):
        yield


def _is_same(module: nn.Module, forward: Forward, images: Tensor, size: int) -> bool:
    """Whether the last `size` of the images have the same logits and gradients alone as among all of them."""
    try:
        expected = _differentiate(forward, images)
        with fill_rows(module, len(images)):
            found = _differentiate(forward, images[-size:])
    except Exception as error:  # the user's own module may raise anything
        if is_out_of_memory(error):
            raise
        return False
    return all(torch.equal(one, other[-size:]) for one, other in zip(found, expected, strict=True))


def _differentiate(forward: Forward, images: Tensor) -> tuple[Tensor, Tensor]:
    """Logits, and the gradient by the images of one log-probability each."""
    images = images.clone().requires_grad_()
    logits = forward(images)
    (gradient,) = torch.autograd.grad(logits.log_softmax(dim=1)[:, 0].sum(), images)
    return logits.detach(), gradient
