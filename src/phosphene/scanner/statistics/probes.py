"""Head and weight probes: what the last layer alone shows of each class, in milliseconds and without a search.

- `row_mean`: mean of the class's row of the final layer (Trojan signatures: a target's row is shifted upwards).
- `row_norm`: its Euclidean norm.
- `head`: log of the mean probability on random non-negative features of the final layer's own scale.
- `easy_noise`: mean log-probability of the class on noise and flat colour, which shows what the bias prefers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from phosphene.core.hooks import ForwardHook, forward_hooks
from phosphene.core.seeding import make_generator
from phosphene.model.classifier import Classifier
from phosphene.scanner.context import Context
from phosphene.scanner.model_size import ModelSize
from phosphene.scanner.noise import draw_noise
from phosphene.scanner.settings import Settings
from phosphene.scanner.statistics.statistic import ANY, Column, Measured

FEATURES = 512  # random features of the head probe
MIN_PROBABILITY = 1e-6
NOISE_PIXELS, MAX_NOISE = 800_000, 16  # images of each kind of noise
NO_HEAD = "no linear head: row_mean, row_norm and head are not measured"
Layer = nn.Linear | nn.Conv2d


@dataclass(frozen=True)
class Probes:
    """The last layer's rows, and the class probabilities on noise."""

    key: str = "probes"
    settings: tuple[str, ...] = ()
    least: Mapping[str, int] = field(default_factory=dict)
    columns: tuple[Column, ...] = (
        Column("easy_noise", "noise", "mean log-probability on noise and flat colours: what the model prefers anyway"),
        Column(
            "row_mean", "row mean", "mean of the class’s row of the last layer, which poisoning shifts upwards", ANY
        ),
        Column("row_norm", "row norm", "length of that row beside the others"),
        Column("head", "head", "mean log-probability on random features given to the last layer", ANY),
    )

    def cost(self, settings: Settings, size: ModelSize) -> int:
        return 0

    def measure(self, context: Context) -> Measured:
        classifier, seed = context.classifier, context.settings.seed
        noise, layer = {"easy_noise": measure_noise(classifier, seed)}, find_linear_head(classifier)
        if layer is None:
            return Measured(noise, checks=(NO_HEAD,))
        return Measured(noise | probe_head(layer, seed))


def probe_head(layer: Layer, seed: int) -> dict[str, Tensor]:
    """Columns of the last layer's rows, each `(K,)`."""
    weight = layer.weight.detach().float().cpu().flatten(1)
    length = (weight - weight.mean(dim=0)).norm(dim=1)
    features = torch.randn(FEATURES, weight.shape[1], generator=make_generator(seed, "head", 0)).abs()
    bias = layer.bias.detach().float().cpu() if layer.bias is not None else torch.zeros(len(weight))
    logits = features @ weight.T / weight.shape[1] ** 0.5 + bias
    return {
        "row_mean": weight.mean(dim=1) / weight.std(),
        "row_norm": length / length.mean(),
        "head": (logits.softmax(dim=1) + MIN_PROBABILITY).mean(dim=0).log(),
    }


def find_linear_head(classifier: Classifier) -> Layer | None:
    """The layer whose output is the logits: the last `Linear` (or 1×1 convolution) that runs, if the sizes agree."""
    ran: list[tuple[Layer, Tensor]] = []

    def observer(layer: Layer) -> ForwardHook:
        def observe(module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
            if isinstance(output, Tensor):
                ran.append((layer, output))

        return observe

    layers = [layer for layer in classifier.module.modules() if isinstance(layer, (nn.Linear, nn.Conv2d))]
    with forward_hooks((layer, observer(layer)) for layer in layers), torch.no_grad():
        logits = classifier(torch.full((1, *classifier.image_shape), 0.5))
    if not ran:
        return None
    layer, output = ran[-1]
    first = output[0].flatten().float().cpu()
    same = first.numel() == logits.numel() and torch.allclose(first, logits[0], atol=1e-4)
    return layer if same and layer.weight[0, 0].numel() == 1 else None


def measure_noise(classifier: Classifier, seed: int) -> Tensor:
    """Mean log-probability of each class on noise, `(K,)`."""
    height, width = classifier.image_shape[1:]
    count = max(1, min(MAX_NOISE, NOISE_PIXELS // (height * width)))
    with torch.no_grad():
        logits = classifier(draw_noise("noise", count, classifier.image_shape, seed))
    return logits.log_softmax(dim=1).mean(dim=0)
