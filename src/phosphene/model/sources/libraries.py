"""The model libraries, imported where they can be, and their downloads as errors in one line."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, TypeVar

import torch

from phosphene.errors import BadInput, PhospheneError, UnknownModel

Result = TypeVar("Result")


@contextlib.contextmanager
def downloads(name: str) -> Iterator[None]:
    try:
        yield
    except PhospheneError:
        raise
    except Exception as error:  # every hub client has its own tree of network errors
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UnknownModel(
            f"cannot get the weights of {name}: {reason[:200]}; connect to the network once, or give a "
            f"local file with --weights FILE"
        ) from error


def import_library(module: str, extra: str) -> ModuleType:
    """An optional library. Raises `UnknownModel` with the extra that installs it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        raise UnknownModel(f"{error.name} is not installed; `pip install 'phosphene[{extra}]'`") from error


def import_timm() -> ModuleType:
    import_torchvision()
    return importlib.import_module("timm")


def import_torchvision() -> Any:
    """torchvision, also where its compiled operators belong to another build of torch than the one installed.

    That pair (torch for CPU, torchvision from PyPI) is common and fails at import although no classifier needs the
    operators: detection's `nms` is only declared here, so that the import can go on.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    global _declared_operators
    _declared_operators = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        _declared_operators.define(f"{operator}(Tensor boxes, Tensor scores, float threshold) -> Tensor")
    return importlib.import_module("torchvision")


def with_torchvision(run: Callable[[], Result]) -> Result:
    """What `run` returns; once more where it failed only because torchvision's operators are missing, which timm and
    transformers import in turn, at once or when they are called."""
    try:
        return run()
    except Exception as error:
        if not _lacks_operators(error):
            raise
    import_torchvision()
    return run()


def _lacks_operators(error: BaseException | None) -> bool:
    return error is not None and (
        "torchvision::" in str(error) or _lacks_operators(error.__cause__ or error.__context__)
    )


def import_extra(name: str, extra: str, what: str) -> ModuleType:
    """An optional library. Raises `BadInput` with the extra that brings it."""
    import_torchvision()  # which transformers imports too, where it can
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise BadInput(f"{what} needs {name} ({error}); `pip install 'phosphene[{extra}]'`") from error


_declared_operators: torch.library.Library | None = None  # declarations live as long as this object
