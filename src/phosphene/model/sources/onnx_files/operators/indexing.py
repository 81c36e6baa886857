"""Operators that read or write at places that another tensor holds."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from phosphene.model.sources.onnx_files.operators.call import Call, check_size, refuse

REDUCTIONS = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


def gather(call: Call, x: Tensor, indices: Tensor) -> Tensor:
    """The slices of an axis at these places; negative ones count from the end."""
    axis = call.get("axis", 0) % x.ndim
    check_size((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))
    places = _from_front(indices, x.shape[axis])
    chosen = x.index_select(axis, places.flatten())
    return chosen.reshape((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))


def gather_elements(call: Call, x: Tensor, indices: Tensor) -> Tensor:
    axis = call.get("axis", 0)
    return torch.gather(x, axis, _from_front(indices, x.shape[axis]))


def gather_nd(call: Call, x: Tensor, indices: Tensor) -> Tensor:
    """The numbers or slices at these coordinates; the first `batch_dims` sides belong together."""
    batch, depth = call.get("batch_dims", 0), indices.shape[-1]
    rows = int(torch.tensor(x.shape[:batch]).prod()) if batch else 1
    flat_x, flat_indices = x.reshape(rows, *x.shape[batch:]), indices.reshape(rows, -1, depth)
    row = torch.arange(rows, device=x.device)[:, None].expand(rows, flat_indices.shape[1])
    coordinates = [_from_front(flat_indices[..., k], flat_x.shape[k + 1]) for k in range(depth)]
    return flat_x[(row, *coordinates)].reshape((*indices.shape[:-1], *x.shape[batch + depth :]))


def scatter_elements(call: Call, x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    axis, reduction = call.get("axis", 0), call.get("reduction", "none")
    places = _from_front(indices, x.shape[axis])
    if reduction == "none":
        return x.scatter(axis, places, updates)
    return x.scatter_reduce(axis, places, updates, _find_reduction(reduction))


def scatter_nd(call: Call, x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    """The tensor with the numbers or slices at these coordinates replaced or, with a reduction, taken together."""
    depth, reduction = indices.shape[-1], call.get("reduction", "none")
    rows = torch.zeros(indices.shape[:-1], dtype=torch.int64, device=x.device)
    for k in range(depth):
        rows = rows * x.shape[k] + _from_front(indices[..., k], x.shape[k])
    slices = x.reshape(int(torch.tensor(x.shape[:depth]).prod()), -1)
    new, places = updates.reshape(-1, slices.shape[1]), rows.reshape(-1, 1).expand(-1, slices.shape[1])
    if reduction == "none":
        return slices.scatter(0, places, new).reshape(x.shape)
    return slices.scatter_reduce(0, places, new, _find_reduction(reduction)).reshape(x.shape)


def one_hot(call: Call, indices: Tensor, depth: Tensor, values: Tensor) -> Tensor:
    """`values[1]` at each index and `values[0]` elsewhere; an index outside has none."""
    count, axis = int(depth), call.get("axis", -1)
    check_size((*indices.shape, count))
    places = indices.long().unsqueeze(axis)
    span = torch.arange(count, device=indices.device)
    line = span.reshape([-1 if k == axis % places.ndim else 1 for k in range(places.ndim)])
    return torch.where(torch.where(places < 0, places + count, places) == line, values[1], values[0])


def sequence(call: Call, start: Tensor, limit: Tensor, step: Tensor) -> Tensor:
    """Range: numbers from `start` on, below `limit`."""
    first, last, by = (one.item() for one in (start, limit, step))
    if by == 0:
        raise refuse("counts in steps of zero")
    check_size([max(0, int((last - first) / by))])
    return torch.arange(first, last, by, dtype=start.dtype, device=start.device)


def identity_like(call: Call, x: Tensor) -> Tensor:
    check_size(x.shape)
    rows, columns, diagonal = *x.shape, call.get("k", 0)
    at = torch.arange(columns, device=x.device) - torch.arange(rows, device=x.device)[:, None]
    return (at == diagonal).to(x.dtype)


def non_zero(call: Call, x: Tensor) -> Tensor:
    """Coordinates of what is not zero; of a tensor that the image changes they would have no fixed number."""
    if x.requires_grad:
        raise refuse("asks for the places of non-zero activations, which has no gradient")
    return torch.nonzero(x).mT


def grid_sample(call: Call, x: Tensor, grid: Tensor) -> Tensor:
    modes = {"linear": "bilinear", "cubic": "bicubic"}
    mode = call.get("mode", "linear")
    return F.grid_sample(
        x,
        grid,
        mode=modes.get(mode, mode),
        padding_mode=call.get("padding_mode", "zeros"),
        align_corners=bool(call.get("align_corners", 0)),
    )


def _from_front(indices: Tensor, side: int) -> Tensor:
    indices = indices.long()
    return torch.where(indices < 0, indices + side, indices)


def _find_reduction(name: str) -> str:
    if name not in REDUCTIONS:
        raise refuse(f"reduces by {name!r}; expected one of {', '.join(REDUCTIONS)}")
    return REDUCTIONS[name]
