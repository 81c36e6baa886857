"""A factory: the user's own function that builds a module."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType

from torch import nn

from phosphene.errors import BadInput
from phosphene.model.input_format import InputFormat
from phosphene.model.sources.libraries import import_torchvision
from phosphene.model.sources.source import Source
from phosphene.model.sources.user_path import working_folder_last


def factory_source(factory: str) -> Source:
    module_name, _, function = factory.partition(":")
    if not module_name or not function:
        raise BadInput(f"--factory is {factory!r}; expected package.module:function")
    try:
        with working_folder_last():  # a factory usually lies there
            build = getattr(_import_module(module_name), function)
    except (ImportError, AttributeError) as error:
        raise BadInput(f"cannot find the factory {factory!r}: {error}") from error
    except (Exception, SystemExit) as error:  # the user's own code may raise anything
        raise BadInput(f"cannot import the factory {factory!r}: {type(error).__name__}: {error}") from error
    return Source(
        factory, lambda: _build(build, factory), lambda module: module.state_dict(), InputFormat((1, 1)), None
    )


def _import_module(module_name: str) -> ModuleType:
    """The user's module, which may import torchvision, or timm that does, before anybody made that possible."""
    try:
        return importlib.import_module(module_name)
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    import_torchvision()
    return importlib.import_module(module_name)


def _build(build: Callable[[], object], factory: str) -> nn.Module:
    try:
        with working_folder_last():
            module = build()
    except (Exception, SystemExit) as error:  # the user's own code may raise anything
        reason = f"{type(error).__name__}: {error}".rstrip(": ")
        raise BadInput(f"the factory {factory!r} failed: {reason}; it is called without arguments") from error
    if not isinstance(module, nn.Module):
        raise BadInput(f"the factory {factory!r} returns a {type(module).__name__}; expected a torch.nn.Module")
    return module
