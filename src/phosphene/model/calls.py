"""What the modules of a network received and gave in one forward."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from phosphene.core.hooks import ForwardHook, forward_hooks, is_hookable
from phosphene.model.classifier import Classifier


@dataclass(frozen=True)
class Call:
    """One call of a module. `inputs` and `output` are the very tensors, which a module behind may have changed in
    place; `values` are the output's as they were given, where they were asked for."""

    name: str
    module: nn.Module
    inputs: tuple[Tensor, ...]
    output: Tensor
    values: Tensor | None


def observe_calls(classifier: Classifier, images: Tensor, names: Collection[str] | None = None) -> list[Call]:
    """Every call of a module that gives a tensor, in the order of computing; with the values of the named layers, by
    default of all. The images have to fit into one batch."""
    calls: list[Call] = []

    def observer(name: str) -> ForwardHook:
        wanted = names is None or name in names

        def observe(module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
            if isinstance(output, Tensor) and output.ndim:
                received = tuple(one for one in inputs if isinstance(one, Tensor))
                calls.append(Call(name, module, received, output, output.clone() if wanted else None))

        return observe

    modules = [(one, observer(name)) for name, one in classifier.module.named_modules() if name and is_hookable(one)]
    with forward_hooks(modules), torch.no_grad():
        classifier(images)
    return calls
