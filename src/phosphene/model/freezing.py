"""Eval mode and constant parameters while a module runs, and every flag as it was afterwards."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from torch import nn


@contextlib.contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """The module in eval mode without gradients of its parameters; flags are restored whatever happens inside."""
    training = [
        submodule for submodule in module.modules() if getattr(submodule, "training", False)
    ]  # frozen scripts have none
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad and parameter.is_leaf]
    try:
        if training:
            _set_eval(module, training)
        for parameter in trainable:
            parameter.requires_grad_(False)
        yield
    finally:
        for submodule in training:
            submodule.training = True
        for parameter in trainable:
            parameter.requires_grad_(True)


def _set_eval(module: nn.Module, training: list[nn.Module]) -> None:
    """Eval mode by the module's own method, which may do more than set flags, and then by the flags themselves: an
    exported program has no such method, and an overridden `train` may leave parts in training mode."""
    with contextlib.suppress(NotImplementedError, TypeError):
        module.eval()
    for submodule in training:
        submodule.training = False
