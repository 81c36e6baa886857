"""Forward hooks that are always removed again, whatever the module raises."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import nn

ForwardHook = Callable[[nn.Module, tuple[object, ...], object], object]
PreHook = Callable[[nn.Module, tuple[object, ...]], object]


def is_hookable(module: nn.Module) -> bool:
    """Whether a module takes hooks: scripted ones do not."""
    return not isinstance(module, torch.jit.ScriptModule)


@contextlib.contextmanager
def forward_hooks(hooks: Iterable[tuple[nn.Module, ForwardHook]]) -> Iterator[None]:
    """Call each hook with `(module, inputs, output)` after its module has run."""
    with contextlib.ExitStack() as stack:
        for module, hook in hooks:
            stack.callback(module.register_forward_hook(hook).remove)
        yield


@contextlib.contextmanager
def pre_hooks(hooks: Iterable[tuple[nn.Module, PreHook]]) -> Iterator[None]:
    """Call each hook with `(module, inputs)` before its module runs."""
    with contextlib.ExitStack() as stack:
        for module, hook in hooks:
            stack.callback(module.register_forward_pre_hook(hook).remove)
        yield
