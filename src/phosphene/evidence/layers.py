"""The layers of any network, found by observation: which own parameters, in which order, and what they receive."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from phosphene.core.hooks import pre_hooks
from phosphene.model.channel_evidence import channels_of
from phosphene.model.classifier import Classifier


def find_layers(classifier: Classifier) -> list[str]:
    """Names of the modules that own parameters, from the output to the input; those that never ran come last."""

    def mark(output: Tensor) -> Tensor:
        return torch.zeros(output.shape[0])

    grey = torch.full((1, *classifier.image_shape), 0.5)
    order = {name: rank for rank, name in enumerate(classifier.observe_layers(grey, mark))}
    owners = [name for name, module in classifier.module.named_modules() if list(module.parameters(recurse=False))]
    return sorted(owners, key=lambda name: order.get(name, -1), reverse=True)


def layer_inputs(classifier: Classifier, layer: str, images: Tensor) -> Tensor:
    """What a layer receives for the images `(N, C, H, W)`, averaged over places or tokens, `(N, D)`."""
    batches: list[Tensor] = []

    def observe(module: nn.Module, inputs: tuple[object, ...]) -> None:
        if isinstance(inputs[0], Tensor):
            batches.append(_mean_of_places(module, inputs[0].detach()))

    with pre_hooks([(classifier.module.get_submodule(layer), observe)]), torch.no_grad():
        classifier(images)
    return torch.cat(batches)[: images.shape[0]].float().cpu()


def _mean_of_places(module: nn.Module, given: Tensor) -> Tensor:
    channels = channels_of(module, given)
    places = [dim for dim in range(1, given.ndim) if dim != (1 if channels is None else channels)]
    return given.mean(dim=places) if places else given
