"""Which weights these are, as a digest, and what a network computes with them, as a few numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

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


def fingerprint(weights: Mapping[str, Tensor]) -> str:
    """sha256 over names, types, shapes and bytes of the weights, in order of name."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return digest.hexdigest()
