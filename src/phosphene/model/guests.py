"""What is looked at before a user's module is run: wrappers that change nothing, weights that are not there yet, and
whether it can be called with images alone."""

from __future__ import annotations

import inspect

from torch import nn
from torch.nn.parameter import is_lazy

from phosphene.errors import BadInput
from phosphene.model.checks import CHECKS
from phosphene.model.input_format import InputFormat


def check_arguments(module: object, input_format: object) -> None:
    """Raise `BadInput` unless a classifier can be made of the two."""
    if not isinstance(module, nn.Module) or not isinstance(input_format, InputFormat):
        raise BadInput(
            f"a classifier of a {type(module).__name__} and a {type(input_format).__name__}; expected a "
            "torch.nn.Module and an InputFormat, such as InputFormat(224, mean=0.5, std=0.25)"
        )


def unwrap(module: nn.Module) -> nn.Module:
    """The module inside `torch.compile` and `DataParallel`: the same function, whose layers keep their names."""
    while True:
        inner = getattr(module, "_orig_mod", None)
        if inner is None and isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            inner = module.module
        if not isinstance(inner, nn.Module):
            return module
        module = inner


def check_weights(module: nn.Module, name: str) -> None:
    """Raise `FailedCheck` where parameters or buffers have no values: of lazy layers, or on the device `meta`."""
    tensors = [*module.named_parameters(), *module.named_buffers()]
    empty = [one for one, tensor in tensors if is_lazy(tensor) or tensor.is_meta]
    if empty:
        raise CHECKS["no-weights"].failed(f"{name} has no values in {', '.join(empty[:3])}")


def check_call(module: nn.Module, name: str) -> None:
    """Raise `FailedCheck` where the module's forward needs more than the images, or takes them by keyword only."""
    try:
        signature = inspect.signature(module.forward)
    except (TypeError, ValueError):  # of scripted modules it may not be known
        return
    try:
        signature.bind(None)
    except TypeError as error:
        raise CHECKS["wrong-call"].failed(f"{name} refuses images alone: {error}") from error
