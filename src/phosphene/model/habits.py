"""What modules differ in: layout, number of images, device, type, and whether they can be copied."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import torch
from torch import nn

# What is tried, in turn, on a module that refuses images as they are passed first.
HABITS: tuple[dict[str, Any], ...] = (
    {"channels_last": False, "checks": ("not-channels-last",)},
    *(
        {"channels_last": False, "checks": ("not-channels-last", "fixed-batch"), "fixed_batch": count}
        for count in (1, 2, 4, 8, 16, 32, 64, 128)
    ),
)


def copy_module(module: nn.Module) -> nn.Module:
    """A copy or, of a module that cannot be copied, the module itself: a call leaves it as it was."""
    try:
        return deepcopy_quietly(module)
    except Exception:  # non-leaf tensors, locks and handles refuse to be copied in their own ways
        return module


def deepcopy_quietly(module: nn.Module) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of torch itself, for exported programs
        return copy.deepcopy(module)


def lay_weights(module: nn.Module, layout: torch.memory_format) -> None:
    """Images' own dimensions alone: `Module.to` refuses tables and weights of five."""
    for parameter in module.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.to(memory_format=layout)


def dtype_of(module: nn.Module) -> torch.dtype:
    """Of the first floating-point parameter: images must have the type of the weights."""
    return next((one.dtype for one in module.parameters() if one.is_floating_point()), torch.float32)


def device_of(module: nn.Module) -> torch.device:
    return next(module.parameters(), torch.zeros(())).device
