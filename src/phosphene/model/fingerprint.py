"""Which weights these are, as a digest, and what a network computes with them, as a few numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

BEHAVIOR_TOLERANCE = 1e-2  # relative: other builds and threads round otherwise, other code computes something else


def describe_behavior(outputs: Tensor) -> tuple[float, ...]:
    """Four numbers for each row of outputs `(N, K)`: random projections, with four digits that count."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(outputs.shape[1], 4, generator=generator, dtype=torch.float64)
    projected = outputs.detach().cpu().double() @ directions / outputs.shape[1] ** 0.5
    return tuple(float(f"{value:.4g}") for value in projected.flatten().tolist())


def behaves_alike(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two networks of the same weights compute the same; unknown behavior, of 0.1, is taken for the same."""
    if not one or not other:
        return True
    scale = max(map(abs, (*one, *other)))
    return len(one) == len(other) and all(
        abs(a - b) <= BEHAVIOR_TOLERANCE * scale for a, b in zip(one, other, strict=True)
    )


def fingerprint(weights: Mapping[str, object]) -> str:
    """sha256 over names, types, shapes and bytes of the weights, in order of name; what is no tensor, as quantised
    layers keep, counts by its parts."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        for part in _list_parts(name, weights[name]):
            digest.update(part)
    return digest.hexdigest()


def _list_parts(name: str, value: object) -> Iterator[bytes]:
    if isinstance(value, (tuple, list)):
        for number, one in enumerate(value):
            yield from _list_parts(f"{name}.{number}", one)
    elif not isinstance(value, Tensor):
        yield f"{name}:{value!r}".encode()
    elif value.is_quantized:
        yield f"{name}:{value.qscheme()}".encode()
        yield from _list_parts(name, value.int_repr())
        yield from _list_parts(f"{name}.values", value.dequantize())
    else:
        tensor = value.detach().cpu().contiguous()
        yield f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode()
        yield tensor.flatten().view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
