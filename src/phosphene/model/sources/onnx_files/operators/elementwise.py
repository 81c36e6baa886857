"""Operators that work number by number, with broadcasting."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from phosphene.model.sources.onnx_files.operators.call import Call, Operator, check_size, is_whole, need_ints, refuse

FLOATS = (1, 10, 11, 16)  # TensorProto's numbers of float32, float16, float64, bfloat16: all become one working type
INTEGERS = {
    2: torch.uint8,
    3: torch.int8,
    4: torch.int32,  # unsigned 16 bits, which torch hardly computes with
    5: torch.int16,
    6: torch.int32,
    7: torch.int64,
    9: torch.bool,
    12: torch.int64,
    13: torch.int64,
}


def of_one(function: Callable[[Tensor], Tensor]) -> Operator:
    """An operator of one input and no attributes."""
    return functools.partial(_of_one, function)


def _of_one(function: Callable[[Tensor], Tensor], call: Call, x: Tensor) -> Tensor:
    return function(x)


def of_two(function: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    """An operator of two inputs that broadcast."""
    return functools.partial(_of_two, function)


def _of_two(function: Callable[[Tensor, Tensor], Tensor], call: Call, a: Tensor, b: Tensor) -> Tensor:
    check_size(torch.broadcast_shapes(a.shape, b.shape))
    return function(a, b)


def of_many(function: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    """An operator of one or more inputs that are taken together two by two."""
    return functools.partial(_of_many, function)


def _of_many(function: Callable[[Tensor, Tensor], Tensor], call: Call, *inputs: Tensor) -> Tensor:
    return functools.reduce(function, inputs)


def keep(x: Tensor) -> Tensor:
    return x


def mean(call: Call, *inputs: Tensor) -> Tensor:
    return functools.reduce(torch.add, inputs) / len(inputs)


def divide(a: Tensor, b: Tensor) -> Tensor:
    return torch.div(a, b, rounding_mode="trunc") if is_whole(a) else a / b


def power(call: Call, base: Tensor, exponent: Tensor) -> Tensor:
    """The type of the base, whatever the exponent's."""
    return torch.pow(base, exponent).to(base.dtype)


def modulo(call: Call, a: Tensor, b: Tensor) -> Tensor:
    return torch.fmod(a, b) if call.get("fmod", 0) else torch.remainder(a, b)


def shift_bits(call: Call, a: Tensor, b: Tensor) -> Tensor:
    return torch.bitwise_left_shift(a, b) if call.get("direction") == "LEFT" else torch.bitwise_right_shift(a, b)


def select(call: Call, condition: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return torch.where(condition.bool(), x, y)


def is_infinite(call: Call, x: Tensor) -> Tensor:
    above = torch.isposinf(x) if call.get("detect_positive", 1) else torch.zeros_like(x, dtype=torch.bool)
    below = torch.isneginf(x) if call.get("detect_negative", 1) else torch.zeros_like(x, dtype=torch.bool)
    return above | below


def clip(call: Call, x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    """Numbers between two bounds, attributes up to set 10; a lower bound above the upper one gives the upper."""
    if call.version < 11:
        return x.clamp(call.get("min", -3.4028234663852886e38), call.get("max", 3.4028234663852886e38))
    raised = x if low is None else torch.maximum(x, low)
    return raised if high is None else torch.minimum(raised, high)


def cast(call: Call, x: Tensor) -> Tensor:
    """Any floating type becomes the working type of the network, so a cast between two of them does nothing."""
    target = int(call.get("to", 0))
    if target in FLOATS:
        return x if x.is_floating_point() else x.float()
    if target not in INTEGERS:
        raise refuse(f"casts to type {target} of ONNX, which no tensor of a classifier has")
    return x.to(INTEGERS[target])


def cast_like(call: Call, x: Tensor, other: Tensor) -> Tensor:
    return x if x.is_floating_point() and other.is_floating_point() else x.to(other.dtype)


def leaky_relu(call: Call, x: Tensor) -> Tensor:
    return F.leaky_relu(x, call.get("alpha", 0.01))


def elu(call: Call, x: Tensor) -> Tensor:
    return F.elu(x, call.get("alpha", 1.0))


def celu(call: Call, x: Tensor) -> Tensor:
    return F.celu(x, call.get("alpha", 1.0))


def selu(call: Call, x: Tensor) -> Tensor:
    alpha, gamma = call.get("alpha", 1.67326319217681884765625), call.get("gamma", 1.05070102214813232421875)
    return gamma * F.elu(x, alpha)


def gelu(call: Call, x: Tensor) -> Tensor:
    return F.gelu(x, approximate=call.get("approximate", "none"))


def quick_gelu(call: Call, x: Tensor) -> Tensor:
    return x * torch.sigmoid(call.get("alpha", 1.702) * x)


def bias_gelu(call: Call, x: Tensor, bias: Tensor) -> Tensor:
    return F.gelu(x + bias)


def fast_gelu(call: Call, x: Tensor, bias: Tensor | None = None) -> Tensor:
    return F.gelu(x if bias is None else x + bias, approximate="tanh")


def swish(call: Call, x: Tensor) -> Tensor:
    return x * torch.sigmoid(call.get("alpha", 1.0) * x)


def hard_sigmoid(call: Call, x: Tensor) -> Tensor:
    return (call.get("alpha", 0.2) * x + call.get("beta", 0.5)).clamp(0, 1)


def thresholded_relu(call: Call, x: Tensor) -> Tensor:
    return torch.where(x > call.get("alpha", 1.0), x, torch.zeros_like(x))


def shrink(call: Call, x: Tensor) -> Tensor:
    limit, bias = call.get("lambd", 0.5), call.get("bias", 0.0)
    return torch.where(x < -limit, x + bias, torch.where(x > limit, x - bias, torch.zeros_like(x)))


def prelu(call: Call, x: Tensor, slope: Tensor) -> Tensor:
    return torch.where(x < 0, slope * x, x)


def softmax(call: Call, x: Tensor) -> Tensor:
    return _softmax_with(torch.softmax, call, x)


def log_softmax(call: Call, x: Tensor) -> Tensor:
    return _softmax_with(torch.log_softmax, call, x)


def _softmax_with(function: Callable[[Tensor, int], Tensor], call: Call, x: Tensor) -> Tensor:
    """Over one axis; up to set 12 over all axes from it on."""
    if call.version >= 13:
        return function(x, call.get("axis", -1))
    axis = call.get("axis", 1) % x.ndim
    return function(x.flatten(axis), axis).reshape(x.shape) if axis < x.ndim - 1 else function(x, axis)


def dropout(call: Call, x: Tensor, ratio: Tensor | None = None, training: Tensor | None = None) -> object:
    """Nothing, as at inference; a mask is all ones."""
    if training is not None and bool(training):
        raise refuse("draws random numbers (training_mode); export the model in eval mode")
    return (x, torch.ones_like(x, dtype=torch.bool)) if call.outputs > 1 else x


def constant_of_shape(call: Call, shape: Tensor) -> Tensor:
    sides, value = need_ints(shape, "its shape"), call.get("value")
    check_size(sides)
    filling = torch.zeros(1) if value is None else value
    return filling.to(shape.device).flatten()[0].expand(sides).clone()
