"""What modules differ in: layout, number of images, device, type, and whether they can be copied."""

from __future__ import annotations

import copy
import warnings
from typing import Any, TypeVar

import torch
from torch import nn

from phosphene.errors import BadInput

Module = TypeVar("Module", bound=nn.Module)

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


def deepcopy_quietly(module: Module) -> Module:
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


def make_double(module: Module, name: str) -> Module:
    """A copy that computes in 64-bit numbers. Raises `BadInput` where there are no weights of fractions, or no copy."""
    try:
        copied: Module = deepcopy_quietly(module)
        copied.double()
    except Exception as error:  # as in `copy_module`
        raise BadInput(f"{name} cannot be made to compute in 64-bit numbers: {error}; leave out --double") from error
    if dtype_of(copied) != torch.float64:
        raise BadInput(f"{name} has no weights that are fractions; leave out --double")
    return copied


def device_of(module: nn.Module) -> torch.device:
    return next(module.parameters(), torch.zeros(())).device
