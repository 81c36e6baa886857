"""Operators that take a mean away and divide by a deviation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from phosphene.model.sources.onnx_files.operators.call import Call, refuse


def batch_normalization(call: Call, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    if not call.get("spatial", 1):
        raise refuse("normalises every place by itself, which is not supported")
    if call.get("training_mode", 0):
        return F.batch_norm(x, None, None, scale, bias, training=True, eps=call.get("epsilon", 1e-5))
    return F.batch_norm(x, mean, variance, scale, bias, training=False, eps=call.get("epsilon", 1e-5))


def instance_normalization(call: Call, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return F.instance_norm(x, weight=scale, bias=bias, eps=call.get("epsilon", 1e-5))


def layer_normalization(
    call: Call, x: Tensor, scale: Tensor, bias: Tensor | None = None
) -> Tensor | tuple[Tensor, ...]:
    """Over the axes from one on; with more outputs, the mean and one over the deviation too."""
    axis, epsilon = call.get("axis", -1), call.get("epsilon", 1e-5)
    normalized = F.layer_norm(x, x.shape[axis:], eps=epsilon) * scale
    normalized = normalized if bias is None else normalized + bias
    if call.outputs == 1:
        return normalized
    axes = list(range(axis % x.ndim, x.ndim))
    variance, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
    return normalized, mean, torch.rsqrt(variance + epsilon)


def rms_normalization(call: Call, x: Tensor, scale: Tensor) -> Tensor:
    axes = list(range(call.get("axis", -1) % x.ndim, x.ndim))
    return x * torch.rsqrt(x.square().mean(axes, keepdim=True) + call.get("epsilon", 1e-5)) * scale


def group_normalization(call: Call, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Up to set 20 scale and bias have one number a group, later one a channel."""
    groups = call.get("num_groups", 1)
    if scale.numel() != x.shape[1]:
        scale, bias = (one.repeat_interleave(x.shape[1] // groups) for one in (scale, bias))
    return F.group_norm(x, groups, scale, bias, eps=call.get("epsilon", 1e-5))


def local_response(call: Call, x: Tensor) -> Tensor:
    """Over `size` channels, of an even size one more behind than before."""
    size = call.get("size", 1)
    squares = F.pad(x.square().movedim(1, -1), ((size - 1) // 2, size // 2))
    sums = squares.unfold(-1, size, 1).sum(dim=-1).movedim(-1, 1)
    return x / (call.get("bias", 1.0) + call.get("alpha", 1e-4) / size * sums) ** call.get("beta", 0.75)


def unit_length(call: Call, x: Tensor) -> Tensor:
    norm = torch.linalg.vector_norm(x, call.get("p", 2), dim=call.get("axis", -1), keepdim=True)
    return torch.where(norm == 0, torch.zeros_like(x), x / norm)


def mean_variance(call: Call, x: Tensor) -> Tensor:
    axes = call.get("axes") or [0, 2, 3]
    centred = x - x.mean(axes, keepdim=True)
    return centred / (centred.square().mean(axes, keepdim=True).sqrt() + 1e-9)
