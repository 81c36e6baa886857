"""Operators that take axes together."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from phosphene.model.sources.onnx_files.operators.call import Call, Operator, axes_of

Reduction = Callable[[Tensor, list[int], bool], Tensor]  # (numbers, axes, whether they stay) → numbers


def reduction(function: Reduction) -> Operator:
    return functools.partial(_reduce, function)


def _reduce(function: Reduction, call: Call, x: Tensor, axes: Tensor | None = None) -> Tensor:
    """Over the named axes; without any over all, or over none where the node says so."""
    chosen = axes_of(call, axes) or []
    if not chosen and call.get("noop_with_empty_axes", 0):
        return x
    return function(x, chosen or list(range(x.ndim)), bool(call.get("keepdims", 1)))


def total(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return x.sum(axes, keepdim=keep, dtype=x.dtype)


def average(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return x.mean(axes, keepdim=keep)


def largest(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return x.amax(axes, keepdim=keep)


def smallest(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return x.amin(axes, keepdim=keep)


def product(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    """One axis after the other, the last first, so that their numbers stay right."""
    for axis in sorted((axis % x.ndim for axis in axes), reverse=True):
        x = x.prod(axis, keepdim=keep, dtype=x.dtype)
    return x


def sum_of_absolutes(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return total(x.abs(), axes, keep)


def sum_of_squares(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return total(x.square(), axes, keep)


def length(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return torch.linalg.vector_norm(x, dim=axes, keepdim=keep)


def log_of_sum(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return total(x, axes, keep).log()


def log_of_sum_of_exponentials(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return x.logsumexp(axes, keepdim=keep)


def arg_extreme(largest: bool) -> Operator:
    return functools.partial(_arg_extreme, largest)


def _arg_extreme(largest: bool, call: Call, x: Tensor) -> Tensor:
    """The first place of the extreme along an axis, or the last one where the node says so."""
    axis, keep = call.get("axis", 0), bool(call.get("keepdims", 1))
    find = torch.argmax if largest else torch.argmin
    if not call.get("select_last_index", 0):
        return find(x, dim=axis, keepdim=keep)
    return x.shape[axis] - 1 - find(x.flip(axis), dim=axis, keepdim=keep)


def top_k(call: Call, x: Tensor, count: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The largest or smallest numbers along an axis, in order; of equal ones the first."""
    number, axis = int(count) if count is not None else int(call.get("k", 1)), call.get("axis", -1)
    values, places = x.sort(dim=axis, descending=bool(call.get("largest", 1)), stable=True)
    return values.narrow(axis, 0, number), places.narrow(axis, 0, number)


def cumulative_sum(call: Call, x: Tensor, axis: Tensor) -> Tensor:
    """Sums of all numbers up to each, or before each (`exclusive`), from the front or from the back (`reverse`)."""
    along = int(axis)
    turned = x.flip(along) if call.get("reverse", 0) else x
    sums = turned.cumsum(along)
    sums = sums - turned if call.get("exclusive", 0) else sums
    return sums.flip(along) if call.get("reverse", 0) else sums
