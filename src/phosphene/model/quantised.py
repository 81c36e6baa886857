"""Gradients through layers of 8-bit integers, which have none of their own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from phosphene.core.hooks import forward_hooks


@contextlib.contextmanager
def straight_through(module: nn.Module) -> Iterator[None]:
    """Dynamically quantised linear layers give what they give, with the gradients of their weights as fractions.

    Source: the straight-through estimator, Bengio, Leonard & Courville, 2013 (arXiv:1308.3432).
    """
    layers = [layer for layer in module.modules() if is_quantised_linear(layer)]
    with forward_hooks((layer, _add_slope) for layer in layers):
        yield


def is_quantised_linear(layer: nn.Module) -> bool:
    """Whether a layer is `torch.ao.nn.quantized.dynamic.Linear`, told by its name: importing it is slow."""
    return type(layer).__name__ == "Linear" and "quantized.dynamic" in type(layer).__module__


def _add_slope(layer: Any, inputs: tuple[object, ...], output: object) -> object:
    (images,) = inputs
    if not torch.is_grad_enabled() or not isinstance(images, Tensor) or not isinstance(output, Tensor):
        return output
    smooth = nn.functional.linear(images, layer.weight().dequantize(), layer.bias())
    return output + (smooth - smooth.detach())
