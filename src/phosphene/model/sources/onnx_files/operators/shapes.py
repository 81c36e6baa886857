"""Operators that lay numbers out anew and change none."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from phosphene.model.sources.onnx_files.operators.call import Call, axes_of, check_size, need_ints, refuse, to_ints

PAD_MODES = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}


def shape(call: Call, x: Tensor) -> Tensor:
    return torch.tensor(x.shape[call.get("start", 0) : call.get("end", x.ndim)], dtype=torch.int64, device=x.device)


def size(call: Call, x: Tensor) -> Tensor:
    return torch.tensor(x.numel(), dtype=torch.int64, device=x.device)


def reshape(call: Call, x: Tensor, target: Tensor | None = None) -> Tensor:
    """0 keeps the side that stands at that place, unless the node says that it means zero."""
    sides = need_ints(call.get("shape") if target is None else target, "the new shape")
    if not call.get("allowzero", 0):
        sides = [x.shape[place] if side == 0 else side for place, side in enumerate(sides)]
    return x.reshape(sides)


def flatten(call: Call, x: Tensor) -> Tensor:
    """A matrix of the sides before the axis and those from it on."""
    axis = call.get("axis", 1)
    axis = axis + x.ndim if axis < 0 else axis
    rows = int(torch.tensor(x.shape[:axis]).prod())
    return x.reshape(rows, -1) if x.numel() else x.reshape(rows, int(torch.tensor(x.shape[axis:]).prod()))


def squeeze(call: Call, x: Tensor, axes: Tensor | None = None) -> Tensor:
    chosen = axes_of(call, axes)
    return x.squeeze() if chosen is None else x.squeeze(tuple(chosen))


def unsqueeze(call: Call, x: Tensor, axes: Tensor | None = None) -> Tensor:
    """Sides of 1 at these places of the result."""
    chosen = need_ints(axes_of(call, axes), "its axes")
    rank = x.ndim + len(chosen)
    for axis in sorted(axis % rank for axis in chosen):
        x = x.unsqueeze(axis)
    return x


def transpose(call: Call, x: Tensor) -> Tensor:
    return x.permute(call.get("perm") or list(reversed(range(x.ndim))))


def concat(call: Call, *inputs: Tensor) -> Tensor:
    return torch.cat(inputs, dim=call.get("axis", 1))


def split(call: Call, x: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, ...]:
    """Parts of the stated sizes, or as equal as can be."""
    axis = call.get("axis", 0)
    stated = to_ints(sizes) if sizes is not None else to_ints(call.get("split"))
    if stated is None:
        each = -(-x.shape[axis] // call.get("num_outputs", call.outputs))
        return x.split(each, dim=axis)
    return x.split(stated, dim=axis)


def cut(
    call: Call,
    x: Tensor,
    starts: Tensor | None = None,
    ends: Tensor | None = None,
    axes: Tensor | None = None,
    steps: Tensor | None = None,
) -> Tensor:
    """Slice: attributes up to set 9, inputs later; steps may be negative."""
    first = need_ints(starts if starts is not None else call.get("starts"), "its starts")
    last = need_ints(ends if ends is not None else call.get("ends"), "its ends")
    along = to_ints(axes) if axes is not None else to_ints(call.get("axes"))
    strides = to_ints(steps) or [1] * len(first)
    for axis, start, end, step in zip(along or range(len(first)), first, last, strides, strict=True):
        x = _cut_one(x, axis, start, end, step)
    return x


def _cut_one(x: Tensor, axis: int, start: int, end: int, step: int) -> Tensor:
    """Python's own rules of slices, for one axis."""
    places = range(x.shape[axis])[slice(start, end, step)]
    if step == 1:
        return x.narrow(axis, places.start if len(places) else 0, len(places))
    return x.index_select(axis, torch.tensor(list(places), dtype=torch.int64, device=x.device))


def expand(call: Call, x: Tensor, target: Tensor) -> Tensor:
    sides = torch.broadcast_shapes(x.shape, tuple(need_ints(target, "the new shape")))
    check_size(sides)
    return x.expand(sides)


def tile(call: Call, x: Tensor, repeats: Tensor) -> Tensor:
    times = need_ints(repeats, "its repeats")
    check_size([side * count for side, count in zip(x.shape, times, strict=True)])
    return x.repeat(times)


def pad(
    call: Call, x: Tensor, pads: Tensor | None = None, value: Tensor | None = None, axes: Tensor | None = None
) -> Tensor:
    """Numbers added or, where negative, taken away at both ends of each axis."""
    mode = call.get("mode", "constant")
    if mode not in PAD_MODES:
        raise refuse(f"pads in mode {mode!r}; expected one of {', '.join(PAD_MODES)}")
    amounts = need_ints(pads if pads is not None else call.get("pads"), "its pads")
    chosen = to_ints(axes) or list(range(x.ndim))
    before, after = [0] * x.ndim, [0] * x.ndim
    for place, axis in enumerate(chosen):
        before[axis], after[axis] = amounts[place], amounts[place + len(chosen)]
    check_size([side + a + b for side, a, b in zip(x.shape, before, after, strict=True)])
    filling = float(value) if value is not None and value.numel() else call.get("value", 0.0)
    return _pad_with(x, before, after, PAD_MODES[mode], filling)


def _pad_with(x: Tensor, before: list[int], after: list[int], mode: str, filling: float) -> Tensor:
    """torch pads by another number than a constant only the last axes of a batch of channels, so each gets its turn."""
    if mode == "constant":
        ends = [amount for pair in zip(reversed(before), reversed(after), strict=True) for amount in pair]
        return F.pad(x, ends, value=filling)
    for axis, amounts in enumerate(zip(before, after, strict=True)):
        if any(amounts):
            lines = x.movedim(axis, -1)
            padded = F.pad(lines.reshape(1, -1, lines.shape[-1]), amounts, mode=mode)
            x = padded.reshape(*lines.shape[:-1], -1).movedim(-1, axis)
    return x


def depth_to_space(call: Call, x: Tensor) -> Tensor:
    """`(N, b²C, H, W)` → `(N, C, bH, bW)`; the blocks' places come before the channels (DCR) or behind them (CRD)."""
    block, (images, channels, height, width) = call.get("blocksize", 1), x.shape
    depth = channels // block**2
    if call.get("mode", "DCR") == "DCR":
        blocks = x.reshape(images, block, block, depth, height, width).permute(0, 3, 4, 1, 5, 2)
    else:
        blocks = x.reshape(images, depth, block, block, height, width).permute(0, 1, 4, 2, 5, 3)
    return blocks.reshape(images, depth, height * block, width * block)


def space_to_depth(call: Call, x: Tensor) -> Tensor:
    block, (images, channels, height, width) = call.get("blocksize", 1), x.shape
    blocks = x.reshape(images, channels, height // block, block, width // block, block)
    order = (0, 3, 5, 1, 2, 4) if call.get("mode", "DCR") == "DCR" else (0, 1, 3, 5, 2, 4)
    return blocks.permute(order).reshape(images, channels * block**2, height // block, width // block)


def triangle(call: Call, x: Tensor, diagonal: Tensor | None = None) -> Tensor:
    offset = 0 if diagonal is None else int(diagonal)
    return torch.triu(x, offset) if call.get("upper", 1) else torch.tril(x, offset)
