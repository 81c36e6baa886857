"""What the layers of a network give for one batch of images, by forward hooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from phosphene.core.hooks import ForwardHook, forward_hooks, is_hookable
from phosphene.model.layout import Layout, Unclear


class Network(Protocol):
    """A classifier, as far as its layers are observed; it may pad the batch."""

    @property
    def module(self) -> nn.Module: ...

    def __call__(self, images: Tensor) -> Tensor: ...


def observe_batch(
    network: Network,
    images: Tensor,
    summarize: Callable[[Tensor], Tensor | None],
    layouts: Mapping[str, Layout | Unclear] | None,
) -> dict[str, Tensor]:
    """`Classifier.observe_layers` of images that fit into one batch."""
    summaries: dict[str, Tensor] = {}

    def observer(name: str) -> ForwardHook:
        layout = None if layouts is None else layouts.get(name, Unclear("it never ran"))

        def observe(module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
            if isinstance(output, Tensor) and output.ndim and not isinstance(layout, Unclear):
                summary = summarize(output if layout is None else layout.arrange(output))
                summaries.pop(name, None)  # so that the order is that of the last time
                if summary is not None:
                    summaries[name] = summary[: images.shape[0]]

        return observe

    modules = [(one, observer(name)) for name, one in network.module.named_modules() if name and is_hookable(one)]
    with forward_hooks(modules), torch.no_grad():
        network(images)
    return summaries


def keep_batch(network: Network, images: Tensor, layers: Mapping[str, Layout]) -> tuple[Tensor, dict[str, Tensor]]:
    """`Classifier.forward_with_layers` of images that fit into one batch."""
    outputs: dict[str, Tensor] = {}

    def keeper(name: str, layout: Layout) -> ForwardHook:
        def keep(module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
            if isinstance(output, Tensor):  # a layer behind that works in place must not change it
                outputs[name] = layout.arrange(output)[: images.shape[0]].clone()

        return keep

    with forward_hooks((network.module.get_submodule(name), keeper(name, one)) for name, one in layers.items()):
        return network(images), outputs
