"""Nodes as torch's own layers where one computes the same, so that they fold and tools find them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from phosphene.model.sources.onnx_files.evaluation import call_of
from phosphene.model.sources.onnx_files.graph import Operation
from phosphene.model.sources.onnx_files.operators.spatial import make_window

Shapes = Mapping[str, tuple[int, ...]]
Own = Callable[[str, bool], nn.Parameter]  # (name of a constant, whether transposed) → the parameter that holds it


def make_layer(operation: Operation, constants: Mapping[str, Tensor], shapes: Shapes, own: Own) -> nn.Module | None:
    """The layer of torch that computes what the node does; None where there is none."""
    maker = MAKERS.get(operation.kind)
    if maker is None or any(name not in constants for name in operation.inputs[1:] if name):
        return None
    return maker(operation, constants, shapes, own) if operation.inputs[0] not in constants else None


def _make_convolution(
    operation: Operation, constants: Mapping[str, Tensor], shapes: Shapes, own: Own
) -> nn.Module | None:
    weight = constants[operation.inputs[1]]
    image = shapes[operation.inputs[0]]
    if weight.ndim != 4 or len(image) != 4:
        return None
    window = make_window(call_of(operation), image[2:], weight.shape[2:])
    if not window.is_symmetric or operation.attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        return None
    bias, groups = _name(operation, 2), operation.attributes.get("group", 1)
    sides: Any = (window.kernel, window.stride, window.begin, window.dilation)  # each a pair
    kernel, stride, padding, dilation = sides
    channels = weight.shape[1] * groups, weight.shape[0]
    layer = nn.Conv2d(*channels, kernel, stride, padding, dilation, groups, bias=bool(bias), device="meta")
    return _fill(layer, own(operation.inputs[1], False), own(bias, False) if bias else None)


def _make_linear(operation: Operation, constants: Mapping[str, Tensor], shapes: Shapes, own: Own) -> nn.Module | None:
    """Of `Gemm`, or of `MatMul` by a constant matrix."""
    weight, bias = constants[operation.inputs[1]], _name(operation, 2)
    plain = operation.attributes.get("alpha", 1.0) == operation.attributes.get("beta", 1.0) == 1.0
    usual = plain and not operation.attributes.get("transA", 0) and weight.ndim == 2 and weight.is_floating_point()
    if not usual or len(shapes[operation.inputs[0]]) < 2 or (bias and constants[bias].ndim != 1):
        return None
    turned = not operation.attributes.get("transB", 0)
    outputs, inputs = reversed(weight.shape) if turned else weight.shape
    if bias and constants[bias].numel() != outputs:
        return None
    layer = nn.Linear(inputs, outputs, bias=bool(bias), device="meta")
    return _fill(layer, own(operation.inputs[1], turned), own(bias, False) if bias else None)


def _make_norm(operation: Operation, constants: Mapping[str, Tensor], shapes: Shapes, own: Own) -> nn.Module | None:
    attributes = operation.attributes
    if len(shapes[operation.inputs[0]]) != 4 or attributes.get("training_mode", 0) or not attributes.get("spatial", 1):
        return None
    scale, bias, mean, variance = operation.inputs[1:5]
    layer = nn.BatchNorm2d(constants[scale].numel(), eps=attributes.get("epsilon", 1e-5), device="meta")
    layer.running_mean, layer.running_var = constants[mean].clone(), constants[variance].clone()
    layer.num_batches_tracked = torch.tensor(0)
    return _fill(layer, own(scale, False), own(bias, False))


def _make_relu(operation: Operation, constants: Mapping[str, Tensor], shapes: Shapes, own: Own) -> nn.Module | None:
    return nn.ReLU()


def _make_relu6(operation: Operation, constants: Mapping[str, Tensor], shapes: Shapes, own: Own) -> nn.Module | None:
    """Bounds of 0 and 6 have a name; at the bounds themselves it has no slope, and `Clip` has one."""
    bounds = [constants[name].flatten().tolist() for name in operation.inputs[1:] if name]
    old = [[operation.attributes.get(name)] for name in ("min", "max")]
    return nn.ReLU6() if [[0.0], [6.0]] in (bounds, old) and all(operation.inputs) else None


def _fill(layer: nn.Module, weight: nn.Parameter, bias: nn.Parameter | None) -> nn.Module:
    layer.register_parameter("weight", weight)
    layer.register_parameter("bias", bias)
    return layer


def _name(operation: Operation, place: int) -> str:
    return operation.inputs[place] if len(operation.inputs) > place else ""


MAKERS: dict[str, Callable[[Operation, Mapping[str, Tensor], Shapes, Own], nn.Module | None]] = {
    "BatchNormalization": _make_norm,
    "Conv": _make_convolution,
    "Gemm": _make_linear,
    "MatMul": _make_linear,
    "Clip": _make_relu6,
    "Relu": _make_relu,
}
