"""The layers of anybody's network, by observation: who owns parameters, in which order, and what they are fed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from phosphene.model.classifier import Classifier


def layers_from_the_top(classifier: Classifier) -> list[str]:
    """Names of the modules that own parameters, in the order of computing, last first."""

    def seen(output: Tensor) -> Tensor:
        return torch.zeros(output.shape[0])

    grey = torch.full((1, *classifier.image_shape), 0.5)
    order = {name: rank for rank, name in enumerate(classifier.observe_layers(grey, seen))}
    owners = [name for name, module in classifier.module.named_modules() if list(module.parameters(recurse=False))]
    return sorted(owners, key=lambda name: order.get(name, -1), reverse=True)


def fed_to(classifier: Classifier, layer: str, images: Tensor) -> Tensor:
    """What a layer is fed when the classifier sees the images, averaged over places or tokens, `(N, D)`."""
    fed: list[Tensor] = []

    def observe(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        fed.append(_pooled(inputs[0].detach()))

    hook = classifier.module.get_submodule(layer).register_forward_pre_hook(observe)
    try:
        with torch.no_grad():
            classifier(images)
    finally:
        hook.remove()
    return torch.cat(fed)[: images.shape[0]].float().cpu()


def _pooled(entering: Tensor) -> Tensor:
    """One row an image: the mean over places of a feature map, over tokens of a sequence."""
    if entering.ndim == 4:
        channels_last = entering.shape[1] == entering.shape[2] != entering.shape[3]
        return entering.mean(dim=(1, 2) if channels_last else (2, 3))
    return entering.mean(dim=1) if entering.ndim == 3 else entering
