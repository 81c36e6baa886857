"""How many images go through a network at once: always as many, for a map must not depend on what is made beside it.

Kernels of different batch sizes sum in different orders, and the estimate amplifies the last bit of a gradient to
another picture.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def default_batch_size(device: torch.device, size: tuple[int, int]) -> int:
    """Images a batch for a device and an image size. On a CPU 4 images of 224 px are the fastest batch; 8 and more no
    longer fit into its caches."""
    if device.type != "cpu":
        return 32
    return min(32, max(4, 200_000 // (size[0] * size[1])))


def run_in_batches(forward: Callable[[Tensor], Tensor], images: Tensor, batch_size: int, least: int = 0) -> Tensor:
    """Outputs `(N, K)` of `forward` for the images, batch after batch; a batch of fewer than `least` images is filled
    with its first one."""
    return torch.cat([_run_batch(forward, batch, least) for batch in images.split(batch_size)])


def _run_batch(forward: Callable[[Tensor], Tensor], images: Tensor, least: int) -> Tensor:
    count = images.shape[0]
    if count < least:
        images = torch.cat([images, images[:1].expand(least - count, -1, -1, -1)])
    return forward(images)[:count]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: CUDA has an error type of its own, the CPU allocator raises a plain RuntimeError."""
    message = str(error).lower()
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in message
