"""Eval mode and constant parameters while a module runs, and every flag as it was afterwards."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from torch import nn


@contextlib.contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """The module in eval mode without gradients of its parameters; flags are restored whatever happens inside."""
    training = [submodule for submodule in module.modules() if submodule.training]
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad and parameter.is_leaf]
    try:
        if training:
            module.eval()
        for parameter in trainable:
            parameter.requires_grad_(False)
        yield
    finally:
        for submodule in training:
            submodule.training = True
        for parameter in trainable:
            parameter.requires_grad_(True)
