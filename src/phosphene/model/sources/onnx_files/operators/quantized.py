"""Quantised operators, straight through: numbers are rounded, and gradients pass as if they were not.

A quantised activation is held as whole numbers in the network's floating type. Where a number is cut off at the end of
its range there is no gradient, as there is none in ReLU.

Source: Bengio et al., "Estimating or propagating gradients through stochastic neurons", 2013.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from phosphene.model.sources.onnx_files.operators import elementwise, spatial
from phosphene.model.sources.onnx_files.operators.call import Call, Operator, refuse

RANGES = {torch.uint8: (0, 255), torch.int8: (-128, 127), torch.uint16: (0, 65535), torch.int16: (-32768, 32767)}
OUTPUT_TYPES = {0: torch.uint8, 2: torch.uint8, 3: torch.int8, 4: torch.uint16, 5: torch.int16}


def round_through(x: Tensor) -> Tensor:
    """The nearest whole numbers, halves to even ones; the gradient passes."""
    return x + (x.round() - x).detach() if x.is_floating_point() else x


def quantize(x: Tensor, scale: Tensor, zero: Tensor | None, dtype: torch.dtype | None = None) -> Tensor:
    """Whole numbers of a type's range: that of the zero point, or of unsigned bytes."""
    kind = dtype or (torch.uint8 if zero is None else zero.dtype)
    if kind not in RANGES:
        raise refuse(f"quantises to {str(kind).removeprefix('torch.')}; expected 8 or 16 bits")
    centre = torch.zeros_like(scale) if zero is None else zero.to(x.dtype)
    low, high = (end - centre for end in RANGES[kind])
    within = torch.minimum(torch.maximum(x / scale, low), high)  # before rounding, or what is cut off would have slope
    return round_through(within) + centre


def dequantize(x: Tensor, scale: Tensor, zero: Tensor | None) -> Tensor:
    return centred(x, zero, scale.dtype) * scale


def centred(x: Tensor, zero: Tensor | None, dtype: torch.dtype) -> Tensor:
    whole = x if x.is_floating_point() else x.to(dtype)
    return whole if zero is None else whole - zero.to(whole.dtype)


def quantize_linear(call: Call, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    target = int(call.get("output_dtype", 0))
    if target not in OUTPUT_TYPES:
        raise refuse(f"quantises to type {target} of ONNX; expected 8 or 16 bits")
    dtype = OUTPUT_TYPES[target] if target else None
    centre = None if zero is None else _along_axis(call, zero, x)
    return quantize(x, _along_axis(call, scale, x), centre, dtype)


def dequantize_linear(call: Call, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    return dequantize(x, _along_axis(call, scale, x), None if zero is None else _along_axis(call, zero, x))


def _along_axis(call: Call, values: Tensor, x: Tensor) -> Tensor:
    """Scales or zero points with one number an index of the axis, or one a block of it, as broadcasting wants them."""
    if values.numel() == 1:
        return values.reshape(())
    axis = call.get("axis", 1) % x.ndim
    if values.ndim > 1:
        block = call.get("block_size", 0) or -(-x.shape[axis] // values.shape[axis])
        return values.repeat_interleave(block, dim=axis).narrow(axis, 0, x.shape[axis])
    return values.reshape([-1 if k == axis else 1 for k in range(x.ndim)])


def dynamic_quantize_linear(call: Call, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Unsigned bytes over the tensor's own range, which always holds 0; no gradient passes through the range."""
    low, high = x.detach().amin().clamp(max=0), x.detach().amax().clamp(min=0)
    scale = (high - low) / 255
    scale = torch.where(scale == 0, torch.ones_like(scale), scale)
    zero = (-low / scale).clamp(0, 255).round()
    return round_through((x / scale).clamp(min=-zero, max=255 - zero)) + zero, scale, zero


def convolve_integers(
    call: Call, x: Tensor, w: Tensor, x_zero: Tensor | None = None, w_zero: Tensor | None = None
) -> Tensor:
    dtype = _float_of(x)
    return spatial.convolve(call, centred(x, x_zero, dtype), centred(w, _per_filter(w_zero, w), dtype))


def multiply_integers(
    call: Call, a: Tensor, b: Tensor, a_zero: Tensor | None = None, b_zero: Tensor | None = None
) -> Tensor:
    dtype = _float_of(a)
    row_zero = a_zero.unsqueeze(-1) if a_zero is not None and a_zero.numel() > 1 else a_zero
    return centred(a, row_zero, dtype) @ centred(b, b_zero, dtype)


def convolve_quantized(
    call: Call,
    x: Tensor,
    x_scale: Tensor,
    x_zero: Tensor,
    w: Tensor,
    w_scale: Tensor,
    w_zero: Tensor,
    y_scale: Tensor,
    y_zero: Tensor,
    bias: Tensor | None = None,
) -> Tensor:
    """In whole numbers up to the last step, so that it rounds as integer arithmetic does."""
    dtype = _float_of(x)
    sums = spatial.convolve(
        call,
        centred(x, x_zero, dtype),
        centred(w, _per_filter(w_zero, w), dtype),
        None if bias is None else bias.to(dtype),
    )
    per_channel = (x_scale * w_scale / y_scale).reshape(-1, *[1] * (x.ndim - 2))
    return quantize(sums * per_channel, torch.ones_like(y_scale), y_zero)


def multiply_quantized(
    call: Call,
    a: Tensor,
    a_scale: Tensor,
    a_zero: Tensor,
    b: Tensor,
    b_scale: Tensor,
    b_zero: Tensor,
    y_scale: Tensor,
    y_zero: Tensor,
) -> Tensor:
    dtype = _float_of(a)
    sums = centred(a, a_zero, dtype) @ centred(b, b_zero, dtype)
    return quantize(sums * (a_scale * b_scale / y_scale), torch.ones_like(y_scale), y_zero)


def gemm_quantized(
    call: Call,
    a: Tensor,
    a_scale: Tensor,
    a_zero: Tensor,
    b: Tensor,
    b_scale: Tensor,
    b_zero: Tensor,
    bias: Tensor | None = None,
    y_scale: Tensor | None = None,
    y_zero: Tensor | None = None,
) -> Tensor:
    """Without an output scale it gives floating numbers."""
    dtype, turned = _float_of(a), bool(call.get("transB", 0))
    right = centred(b, b_zero.unsqueeze(-1) if turned and b_zero.numel() > 1 else b_zero, dtype)
    left = centred(a, a_zero, dtype)
    sums = (left.mT if call.get("transA", 0) else left) @ (right.mT if turned else right)
    sums = (sums if bias is None else sums + bias.to(dtype)) * (a_scale * b_scale)
    return sums if y_scale is None else quantize(sums / y_scale, torch.ones_like(y_scale), y_zero)


def quantized(function: Operator, inputs: int) -> Operator:
    """A floating operator between quantised inputs and one output: `(x, scale, zero)` for each of them."""
    return functools.partial(_run_quantized, function, inputs)


def _run_quantized(function: Operator, inputs: int, call: Call, *given: Tensor) -> Tensor:
    tensors = [dequantize(*given[3 * k : 3 * k + 3]) for k in range(inputs)]
    y_scale, y_zero, *_ = (*given[3 * inputs :], None)
    return quantize(function(call, *tensors), y_scale, y_zero)


def softmax_quantized(call: Call, x: Tensor, *given: Tensor) -> Tensor:
    """Its attribute says by which set of operators the axis is meant."""
    return _run_quantized(elementwise.softmax, 1, Call(call.attributes, call.get("opset", 13)), x, *given)


def concat_quantized(call: Call, y_scale: Tensor, y_zero: Tensor, *given: Tensor) -> Tensor:
    tensors = [dequantize(*given[k : k + 3]) for k in range(0, len(given), 3)]
    return quantize(torch.cat(tensors, dim=call.get("axis", 0)), y_scale, y_zero)


def pool_quantized(call: Call, x: Tensor, *given: Tensor) -> Tensor:
    """Average pools of bytes, whose channels lie second or, where the node says so, last."""
    last = bool(call.get("channels_last", 0))
    pool = spatial.average_pool if call.get("kernel_shape") else spatial.global_average_pool
    image = x.movedim(-1, 1) if last else x
    y = _run_quantized(pool, 1, call, image, *given)
    return y.movedim(1, -1) if last else y


def _per_filter(zero: Tensor | None, weight: Tensor) -> Tensor | None:
    if zero is None or zero.numel() == 1:
        return zero
    return zero.reshape(-1, *[1] * (weight.ndim - 1))


def _float_of(x: Tensor) -> torch.dtype:
    return x.dtype if x.is_floating_point() else torch.float32
