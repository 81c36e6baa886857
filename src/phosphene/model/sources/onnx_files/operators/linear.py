"""Products of matrices."""

from __future__ import annotations

import torch
from torch import Tensor

from phosphene.model.sources.onnx_files.operators.call import Call, check_size, refuse


def matmul(call: Call, a: Tensor, b: Tensor) -> Tensor:
    check_size((*torch.broadcast_shapes(a.shape[:-2], b.shape[:-2]), *a.shape[-2:-1], *b.shape[-1:] * (b.ndim > 1)))
    return torch.matmul(a, b)


def gemm(call: Call, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    """`alpha · A B + beta · C` of matrices, each transposed where its attribute says so."""
    product = call.get("alpha", 1.0) * matmul(
        call, a.mT if call.get("transA", 0) else a, b.mT if call.get("transB", 0) else b
    )
    return product if c is None else product + call.get("beta", 1.0) * c


def fused_matmul(call: Call, a: Tensor, b: Tensor) -> Tensor:
    if call.get("transBatchA", 0) or call.get("transBatchB", 0):
        raise refuse("transposes the batch, which is not supported")
    left, right = (a.mT if call.get("transA", 0) else a), (b.mT if call.get("transB", 0) else b)
    return call.get("alpha", 1.0) * matmul(call, left, right)


def einsum(call: Call, *inputs: Tensor) -> Tensor:
    return torch.einsum(call.get("equation", ""), *inputs)


def attention(call: Call, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    """Scaled dot products of heads `(N, heads, tokens, size)`, as of set 23, without cache and score outputs."""
    if call.outputs > 1 or query.ndim != 4 or call.get("is_causal", 0) or call.get("softcap", 0.0):
        raise refuse("attends with a cache, a cap, causally or on three dimensions, which is not supported")
    scale = call.get("scale", query.shape[-1] ** -0.5)
    shared = query.shape[1] // key.shape[1]
    key, value = (x.repeat_interleave(shared, dim=1) if shared > 1 else x for x in (key, value))
    scores = scale * (query @ key.mT)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
    return scores.softmax(dim=-1) @ value
