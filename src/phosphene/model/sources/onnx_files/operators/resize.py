"""Resize and Upsample: every axis is a matrix of weights, from the places of the input to those of the output."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from phosphene.model.sources.onnx_files.operators.call import Call, check_size, refuse, to_ints

NEAREST = {
    "round_prefer_floor": lambda place: math.ceil(place - 0.5),
    "round_prefer_ceil": lambda place: math.floor(place + 0.5),
    "floor": math.floor,
    "ceil": math.ceil,
}


def resize(
    call: Call, x: Tensor, region: Tensor | None = None, scales: Tensor | None = None, sizes: Tensor | None = None
) -> Tensor:
    """Up to set 10 the second input holds the scales."""
    if call.version < 11:
        region, scales = None, region
    given = scales.flatten().tolist() if scales is not None and scales.numel() else None
    axes = to_ints(call.get("axes")) or list(range(x.ndim))
    wanted = to_ints(sizes) if sizes is not None and sizes.numel() else None
    if given is None and wanted is None:
        raise refuse("resizes to nothing: it has neither scales nor sizes")
    return _resize_axes(call, x, axes, given, wanted)


def upsample(call: Call, x: Tensor, scales: Tensor | None = None) -> Tensor:
    """Deprecated since set 10: nearest or linear, by scales from the image's corner."""
    given = scales.flatten().tolist() if scales is not None else list(call.get("scales", []))
    corner = {
        "coordinate_transformation_mode": "asymmetric",
        "nearest_mode": "floor",
        "mode": call.get("mode", "nearest"),
    }
    return _resize_axes(Call(corner, 13), x, list(range(x.ndim)), given, None)


def _resize_axes(call: Call, x: Tensor, axes: list[int], scales: list[float] | None, sizes: list[int] | None) -> Tensor:
    sides = [x.shape[axis] for axis in axes]
    if scales is None:
        scales, targets = _find_scales(call, sides, sizes or [])
    else:
        targets = [math.floor(side * scale + 1e-6) for side, scale in zip(sides, scales, strict=True)]
    if targets == sides:  # whatever the scales, as onnxruntime has it
        return x
    for axis, side, target, scale in zip(axes, sides, targets, scales, strict=True):
        if target != side or scale != 1:
            check_size((*x.shape[:axis], target, *x.shape[axis:][1:]))
            weights = make_weights(call, side, target, scale).to(x)
            x = (x.movedim(axis, -1) @ weights.mT).movedim(-1, axis)
    return x


def _find_scales(call: Call, sides: list[int], sizes: list[int]) -> tuple[list[float], list[int]]:
    """From the sizes that are wanted; with a policy one scale for all axes, which then miss some of them."""
    scales, policy = (
        [size / side for size, side in zip(sizes, sides, strict=True)],
        call.get("keep_aspect_ratio_policy"),
    )
    if policy not in ("not_larger", "not_smaller"):
        return scales, sizes
    scale = min(scales) if policy == "not_larger" else max(scales)
    return [scale] * len(sides), [math.floor(side * scale + 0.5) for side in sides]


def make_weights(call: Call, side: int, target: int, scale: float) -> Tensor:
    """`(target, side)`: how much each place of the input counts at each place of the output; rows sum to 1."""
    mode, cubic = call.get("mode", "nearest"), call.get("cubic_coeff_a", -0.75)
    weights = torch.zeros(target, side, dtype=torch.float64)
    stretch = 1 / scale if call.get("antialias", 0) and scale < 1 else 1.0
    for row in range(target):
        centre = _find_place(call, row, side, target, scale)
        for place, weight in _weigh(call, mode, centre, stretch, cubic):
            if 0 <= place < side or not call.get("exclude_outside", 0):
                weights[row, min(max(place, 0), side - 1)] += weight
    return weights / weights.sum(dim=1, keepdim=True)


def _find_place(call: Call, row: int, side: int, target: int, scale: float) -> float:
    """Where the output's place lies in the input."""
    mode = call.get("coordinate_transformation_mode", "half_pixel" if call.version >= 11 else "asymmetric")
    if mode in ("half_pixel", "pytorch_half_pixel"):
        return 0.0 if mode == "pytorch_half_pixel" and target == 1 else (row + 0.5) / scale - 0.5
    if mode == "half_pixel_symmetric":
        return side / 2 * (1 - target / (scale * side)) + (row + 0.5) / scale - 0.5
    if mode == "align_corners":
        return 0.0 if target == 1 else row * (side - 1) / (target - 1)
    if mode == "asymmetric":
        return row / scale
    raise refuse(f"resizes by {mode!r}, which is not supported")


def _weigh(call: Call, mode: str, centre: float, stretch: float, cubic: float) -> list[tuple[int, float]]:
    """Places of the input and how much each counts."""
    if mode == "nearest":
        rounding = call.get("nearest_mode", "round_prefer_floor" if call.version >= 11 else "floor")
        return [(NEAREST[rounding](centre), 1.0)]
    if mode not in ("linear", "cubic"):
        raise refuse(f"resizes in mode {mode!r}; expected nearest, linear or cubic")
    reach = (1 if mode == "linear" else 2) * stretch
    places = range(math.floor(centre - reach) + 1, math.ceil(centre + reach))
    distances = [(place, abs(place - centre) / stretch) for place in places] or [(round(centre), 0.0)]
    return [(place, 1 - by if mode == "linear" else _cubic(by, cubic)) for place, by in distances]


def _cubic(x: float, a: float) -> float:
    """Keys' kernel."""
    if x <= 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a if x < 2 else 0.0
