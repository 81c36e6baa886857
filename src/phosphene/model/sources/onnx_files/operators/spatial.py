"""Convolutions and pools, with the paddings that ONNX has and torch has not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from phosphene.model.sources.onnx_files.operators.call import Call, check_size, refuse

CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
MAX_POOLS = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVERAGE_POOLS = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


@dataclass(frozen=True)
class Window:
    """Where a kernel stands: one number an axis; `end` counts what a rounded-up output reaches beyond the padding."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    begin: tuple[int, ...]
    end: tuple[int, ...]
    beyond: tuple[int, ...]

    @property
    def is_symmetric(self) -> bool:
        return self.begin == self.end and not any(self.beyond)


def make_window(call: Call, sides: Sequence[int], kernel: Sequence[int]) -> Window:
    """The window of a node over an image of these sides; raises `BadWeights` where the numbers do not fit."""
    count = len(sides)
    stride, dilation = (tuple(call.get(name) or [1] * count) for name in ("strides", "dilations"))
    if not len(kernel) == len(stride) == len(dilation) == count:
        raise refuse(f"has a kernel of {len(kernel)} sides for {count} axes")
    spans = [(size - 1) * by + 1 for size, by in zip(kernel, dilation, strict=True)]
    begin, end = _find_pads(call, sides, spans, stride)
    beyond = tuple(
        _reach_beyond(side + a + b, span, step, a + side) if call.get("ceil_mode", 0) else 0
        for side, a, b, span, step in zip(sides, begin, end, spans, stride, strict=True)
    )
    return Window(tuple(kernel), stride, dilation, begin, end, beyond)


def _find_pads(
    call: Call, sides: Sequence[int], spans: Sequence[int], stride: Sequence[int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    mode, count = call.get("auto_pad", "NOTSET"), len(sides)
    if mode == "NOTSET":
        pads = call.get("pads") or [0] * (2 * count)
        return tuple(pads[:count]), tuple(pads[count:])
    if mode == "VALID":
        return (0,) * count, (0,) * count
    totals = [
        max(0, (math.ceil(side / step) - 1) * step + span - side)
        for side, span, step in zip(sides, spans, stride, strict=True)
    ]
    less, more = tuple(total // 2 for total in totals), tuple(total - total // 2 for total in totals)
    return (more, less) if mode == "SAME_LOWER" else (less, more)


def _reach_beyond(padded: int, span: int, step: int, start_before: int) -> int:
    """How far the last window of a rounded-up output lies outside; one that would begin there is left out."""
    count = math.ceil((padded - span) / step) + 1
    if (count - 1) * step >= start_before:
        count -= 1
    return max(0, (count - 1) * step + span - padded)


def extend(x: Tensor, window: Window, value: float) -> Tensor:
    """The image with its padding of one value, and what lies beyond."""
    ends = [
        amount
        for a, b, c in reversed(list(zip(window.begin, window.end, window.beyond, strict=True)))
        for amount in (a, b + c)
    ]
    return F.pad(x, ends, value=value) if any(ends) else x


def convolve(call: Call, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    axes = _count_axes(x)
    window = make_window(call, x.shape[2:], weight.shape[2:])
    symmetric = window.is_symmetric
    image, padding = (x, window.begin) if symmetric else (extend(x, window, 0.0), (0,) * axes)
    return CONVOLUTIONS[axes](image, weight, bias, window.stride, padding, window.dilation, call.get("group", 1))


def convolve_transposed(call: Call, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The full output, of which the padding is cut off, so that both ends may lose different amounts."""
    axes, kernel = _count_axes(x), weight.shape[2:]
    stride, dilation = (call.get(name) or [1] * axes for name in ("strides", "dilations"))
    extra = call.get("output_padding") or [0] * axes
    full = [
        (side - 1) * step + (size - 1) * by + 1 + more
        for side, step, size, by, more in zip(x.shape[2:], stride, kernel, dilation, extra, strict=True)
    ]
    check_size((x.shape[0], weight.shape[1], *full))
    begin, end = _find_cuts(call, x.shape[2:], full, stride)
    output = TRANSPOSED[axes](x, weight, bias, stride, 0, 0, call.get("group", 1), dilation)
    grown = F.pad(output, [amount for more in reversed(extra) for amount in (0, more)]) if any(extra) else output
    if any(extra) and bias is not None:  # the added rim holds the bias alone
        inside = F.pad(torch.ones_like(output), [amount for more in reversed(extra) for amount in (0, more)])
        grown = torch.where(inside > 0, grown, bias.reshape(-1, *[1] * axes))
    return F.pad(grown, [-amount for pair in zip(reversed(begin), reversed(end), strict=True) for amount in pair])


def _find_cuts(
    call: Call, sides: Sequence[int], full: Sequence[int], stride: Sequence[int]
) -> tuple[list[int], list[int]]:
    mode, count, wanted = call.get("auto_pad", "NOTSET"), len(sides), call.get("output_shape")
    if mode == "NOTSET" and wanted is None:
        pads = call.get("pads") or [0] * (2 * count)
        return list(pads[:count]), list(pads[count:])
    if mode == "VALID" and wanted is None:
        return [0] * count, [0] * count
    target = wanted or [side * step for side, step in zip(sides, stride, strict=True)]
    totals = [whole - side for whole, side in zip(full, target, strict=True)]
    less, more = [total // 2 for total in totals], [total - total // 2 for total in totals]
    return (less, more) if mode == "SAME_UPPER" else (more, less)


def max_pool(call: Call, x: Tensor) -> Tensor:
    if call.outputs > 1:
        raise refuse("gives the places of its maxima, which is not supported")
    axes = _count_axes(x)
    window = make_window(call, x.shape[2:], call.get("kernel_shape") or [])
    native = window.is_symmetric and all(2 * a <= k for a, k in zip(window.begin, window.kernel, strict=True))
    image, padding = (x, window.begin) if native else (extend(x, window, -torch.inf), (0,) * axes)
    return MAX_POOLS[axes](image, window.kernel, window.stride, padding, window.dilation)


def average_pool(call: Call, x: Tensor) -> Tensor:
    """Sums over windows by how many numbers count: those of the image and, where the node says so, of the padding."""
    axes = _count_axes(x)
    window = make_window(call, x.shape[2:], call.get("kernel_shape") or [])
    if any(by != 1 for by in window.dilation):
        return _average_dilated(call, x, window)
    if not any((*window.begin, *window.end, *window.beyond)):
        return AVERAGE_POOLS[axes](x, window.kernel, window.stride)
    shares = _count_of_window(call, x, window)
    return AVERAGE_POOLS[axes](extend(x, window, 0.0), window.kernel, window.stride) / AVERAGE_POOLS[axes](
        shares, window.kernel, window.stride
    )


def _count_of_window(call: Call, x: Tensor, window: Window) -> Tensor:
    """1 where a number counts and 0 where it does not, on the extended image, `(1, 1, …)`."""
    ones = torch.ones((1, 1, *x.shape[2:]), dtype=x.dtype, device=x.device)
    counted = float(call.get("count_include_pad", 0))
    padded = Window(window.kernel, window.stride, window.dilation, window.begin, window.end, (0,) * len(window.end))
    beyond = Window(
        window.kernel, window.stride, window.dilation, (0,) * len(window.end), (0,) * len(window.end), window.beyond
    )
    return extend(extend(ones, padded, counted), beyond, 0.0)


def _average_dilated(call: Call, x: Tensor, window: Window) -> Tensor:
    return _sum_windows(extend(x, window, 0.0), window) / _sum_windows(_count_of_window(call, x, window), window)


def _sum_windows(x: Tensor, window: Window) -> Tensor:
    """Of an image that has its padding already, each channel by itself."""
    channels = x.shape[1]
    ones = torch.ones((channels, 1, *window.kernel), dtype=x.dtype, device=x.device)
    return CONVOLUTIONS[len(window.kernel)](x, ones, None, window.stride, 0, window.dilation, channels)


def lp_pool(call: Call, x: Tensor) -> Tensor:
    power = call.get("p", 2)
    window = make_window(call, x.shape[2:], call.get("kernel_shape") or [])
    sums = _sum_windows(extend(x.abs() ** power, window, 0.0), window)
    return sums ** (1 / power)


def global_average_pool(call: Call, x: Tensor) -> Tensor:
    return x.mean(dim=tuple(range(2, x.ndim)), keepdim=True)


def global_max_pool(call: Call, x: Tensor) -> Tensor:
    return x.amax(dim=tuple(range(2, x.ndim)), keepdim=True)


def _count_axes(x: Tensor) -> int:
    axes = x.ndim - 2
    if axes not in CONVOLUTIONS:
        raise refuse(f"receives a tensor of {x.ndim} dimensions; expected images, (N, C, H, W)")
    return axes
