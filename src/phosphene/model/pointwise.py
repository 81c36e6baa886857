"""Convolutions of single pixels by the kernel that torch takes for many images.

Of one small image torch takes another kernel than of several, with other last bits. Where a pass of one image is to
have the numbers of a full one, asking for that kernel costs less than laying a second image beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from phosphene.core.cache import Cache

Layout = torch.memory_format
LAYOUTS = (torch.channels_last, torch.contiguous_format)


def find_parameters(args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Tensor, Tensor | None] | None:
    """Constant weight `(out, in, 1, 1)` and bias of a convolution's arguments; None where it takes more than single
    pixels, learns, or is not one that the kernel is for."""
    images, weight, bias = args[0], args[1], args[2] if len(args) > 2 else kwargs.get("bias")
    learning = any(one is not None and one.requires_grad for one in (weight, bias))
    if learning or weight.shape[1:] != (images.shape[1], 1, 1) or {images.dtype, weight.dtype} != {torch.float32}:
        return None
    if images.device.type != "cpu" or not (torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled):
        return None
    return weight, bias


def convolve(known: Cache, images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`(n, out, H, W)` of `(n, in, H, W)`, of stride 1; differentiable by the images. `known` keeps
    parameters turned for the gradient."""
    made: Tensor = _Convolution.apply(images, weight, bias, known)
    return made


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, images: Tensor, weight: Tensor, bias: Tensor | None, known: Cache) -> Tensor:
        layout = next((one for one in LAYOUTS if images.is_contiguous(memory_format=one)), torch.contiguous_format)
        context.weight, context.known, context.layout = weight, known, layout
        return _multiply(images, weight, bias, layout)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        turned = _turn(context.known, context.weight, context.layout)
        return _multiply(gradient, turned, None, context.layout), None, None, None


def _turn(known: Cache, weight: Tensor, layout: Layout) -> Tensor:
    """The weight with its sides exchanged; kept for a parameter alone, for what a network computes in each pass would
    pile up."""

    def turn() -> tuple[Tensor, Tensor]:
        return weight, weight.transpose(0, 1).contiguous(memory_format=layout)

    if not isinstance(weight, nn.Parameter) or weight.is_inference():
        return turn()[1]
    # The weight is kept beside what was made of it, so that no other one gets its identity.
    return known.get(("turned", id(weight), weight._version, layout), turn)[1]


def _multiply(images: Tensor, weight: Tensor, bias: Tensor | None, layout: Layout) -> Tensor:
    images, weight = (one.contiguous(memory_format=layout) for one in (images, weight))
    made: Tensor = torch.mkldnn_convolution(images, weight, bias, (0, 0), (1, 1), (1, 1), 1)
    return made
