"""A factory: the user's own function that builds a module."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from torch import nn

from phosphene.errors import BadInput
from phosphene.model.input_format import InputFormat
from phosphene.model.sources.libraries import with_torchvision
from phosphene.model.sources.source import Source
from phosphene.model.sources.user_path import working_folder_last

EVERYTHING = ("size", "channels", "mean", "std")  # no record says how such a model is fed


def factory_source(factory: str) -> Source:
    module_name, _, function = factory.partition(":")
    if not module_name or not function:
        raise BadInput(f"--factory is {factory!r}; expected package.module:function")
    build = _find(factory, module_name, function)
    return Source(factory, lambda: _build(build, factory), None, InputFormat((1, 1)), None, unknown=EVERYTHING)


def module_source(module: nn.Module) -> Source:
    """The user's own module, as it is."""
    return Source("model", None, None, InputFormat((1, 1)), None, pretrained=lambda: module, unknown=EVERYTHING)


def _find(factory: str, module_name: str, function: str) -> Callable[[], object]:
    try:
        with working_folder_last():  # a factory usually lies there
            module = with_torchvision(lambda: importlib.import_module(module_name))
            build: Callable[[], object] = getattr(module, function)
            return build
    except (ImportError, AttributeError) as error:
        raise BadInput(f"cannot find the factory {factory!r}: {error}") from error
    except (Exception, SystemExit) as error:  # the user's own code may raise anything
        raise BadInput(f"cannot import the factory {factory!r}: {type(error).__name__}: {error}") from error


def _build(build: Callable[[], object], factory: str) -> nn.Module:
    try:
        with working_folder_last():
            module = with_torchvision(build)
    except (Exception, SystemExit) as error:  # the user's own code may raise anything
        reason = f"{type(error).__name__}: {error}".rstrip(": ")
        raise BadInput(f"the factory {factory!r} failed: {reason}; it is called without arguments") from error
    if not isinstance(module, nn.Module):
        raise BadInput(f"the factory {factory!r} returns a {type(module).__name__}; expected a torch.nn.Module")
    return module
