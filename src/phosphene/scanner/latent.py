"""The smallest change of what a layer says, the same for all images, that sends them to a target.

A trigger that is another change for every image (warps, filters, quantisation, input-aware masks) is still one and the
same signal once a few layers have looked at it. So the change is searched there too: δ per channel, added everywhere,
in units of the channel's spread over the surrogate images.

Source: the idea of inverting triggers in feature space is Wang et al., "Rethinking the reverse-engineering of trojan
triggers", NeurIPS 2022; here with neither clean images nor a generator.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from phosphene.classifier import Classifier
from phosphene.geometry import ImageShape
from phosphene.scanner.families import Parameters, shrunk

DEPTHS = {"early": 0.25, "middle": 0.5, "late": 1.0}  # of the layers that see places, by order of running
SILENT = 0.1  # of the mean spread: channels that hardly vary are not cheaper than that


@dataclass(frozen=True)
class Latent:
    """δ of one layer, `(candidates, channels)`; `spread` is the unit of each channel."""

    layer: nn.Module
    spread: Tensor
    name: str
    start_radius: float = 3.0
    step: float = 0.3

    def start(self, shape: ImageShape, generators: list[Generator]) -> Parameters:
        return (torch.stack([0.05 * torch.randn(len(self.spread), generator=one) for one in generators]),)

    def project(self, parameters: Parameters, radius: Tensor) -> Parameters:
        return (shrunk(parameters[0], radius),)

    def logits(self, classifier: Classifier, parameters: Parameters, images: Tensor) -> Tensor:
        """Of images `(candidates, n, C, H, W)`, each shifted by its candidate inside the network."""
        shifts = (parameters[0] * self.spread).repeat_interleave(images.shape[1], dim=0)
        seen = 0

        def shifted(layer: nn.Module, inputs: object, output: Tensor) -> Tensor:
            nonlocal seen
            part = shifts[seen : seen + len(output)]
            seen += len(part)
            part = torch.cat([part, part[:1].expand(len(output) - len(part), -1)])  # rows that only fill the batch
            return output + (part[:, :, None, None] if output.ndim == 4 else part[:, None])

        hook = self.layer.register_forward_hook(shifted)
        try:
            return classifier(images.flatten(0, 1))
        finally:
            hook.remove()


def latents(classifier: Classifier, images: Tensor) -> list[Latent]:
    """One a depth; fewer where a network has fewer layers with places, none where it has none."""
    layers = placed_layers(classifier)
    chosen = {
        depth: layers[min(len(layers) - 1, int(share * len(layers)))] for depth, share in DEPTHS.items() if layers
    }
    found: list[Latent] = []
    for depth, layer in chosen.items():
        if all(layer is not other.layer for other in found):
            found.append(Latent(layer, _spread(classifier, layer, images), f"latent {depth}"))
    return found


def placed_layers(classifier: Classifier) -> list[nn.Module]:
    """Layers with weights that give feature maps or tokens, each once, in the order of running."""
    ran: list[nn.Module] = []

    def note(layer: nn.Module, inputs: object, output: object) -> None:
        if isinstance(output, Tensor) and (output.ndim == 3 or (output.ndim == 4 and output.shape[-1] > 1)):
            ran.append(layer)

    kinds = (nn.Conv2d, nn.Linear)
    hooks = [one.register_forward_hook(note) for one in classifier.module.modules() if isinstance(one, kinds)]
    try:
        with classifier.frozen(), torch.no_grad():
            classifier(torch.full((1, *classifier.image_shape), 0.5))
    finally:
        for hook in hooks:
            hook.remove()
    return [layer for layer in dict.fromkeys(ran) if ran.count(layer) == 1]


def _spread(classifier: Classifier, layer: nn.Module, images: Tensor) -> Tensor:
    """Standard deviation of each channel over images and places, without silent channels' zeros."""
    seen: list[Tensor] = []
    hook = layer.register_forward_hook(lambda module, inputs, output: seen.append(output))
    try:
        with classifier.frozen(), torch.no_grad():
            classifier(images)
    finally:
        hook.remove()
    outputs = torch.cat(seen)[: len(images)]
    spread = outputs.std(dim=(0, 2, 3) if outputs.ndim == 4 else (0, 1))
    return spread.clamp(min=float(spread.mean()) * SILENT)
