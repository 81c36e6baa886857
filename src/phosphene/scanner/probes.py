"""Head and weight probes: what the last layer alone says about each class, in milliseconds and without an image.

- `row_mean`: mean of the class's row of the final layer (Trojan signatures: a target's row is shifted upwards).
- `row_norm`: its Euclidean norm.
- `head`: mean logit over the other classes' on random non-negative features of the final layer's own scale.
- `easy_noise`: mean of the class's logit margin on noise and flat colour, which shows what the bias prefers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from phosphene.core.seeding import make_generator
from phosphene.model.classifier import Classifier
from phosphene.recipe.distributions import Distribution, Flat, Pink, Uniform

NOISE: tuple[Distribution, ...] = (Uniform(), Pink(), Flat())
FEATURES = 512  # random features of the head probe


@dataclass(frozen=True)
class Probed:
    """Statistics by name `(classes,)`, and why others are missing."""

    statistics: dict[str, Tensor]
    checks: tuple[str, ...]


def probed(classifier: Classifier, seed: int) -> Probed:
    statistics = {"easy_noise": _easy_noise(classifier, seed)}
    head = linear_head(classifier)
    if head is None:
        return Probed(statistics, ("no linear head: row_mean, row_norm and head stepped aside",))
    weight = head.weight.detach().float().flatten(1)
    centred = weight - weight.mean(dim=0)
    features = torch.randn(FEATURES, weight.shape[1], generator=make_generator(seed, "head", 0)).abs()
    bias = head.bias.detach().float() if head.bias is not None else torch.zeros(len(weight))
    logits = features @ weight.T / weight.shape[1] ** 0.5 + bias
    statistics["row_mean"] = weight.mean(dim=1) / weight.std()
    statistics["row_norm"] = centred.norm(dim=1) / centred.norm(dim=1).mean()
    statistics["head"] = (logits.softmax(dim=1) + 1e-6).mean(dim=0).log()
    return Probed(statistics, ())


def linear_head(classifier: Classifier) -> nn.Linear | nn.Conv2d | None:
    """The layer whose output is the logits: the last `Linear` (or 1×1 convolution) that runs, if the sizes agree."""
    ran: list[tuple[nn.Module, Tensor]] = []
    kinds = (nn.Linear, nn.Conv2d)
    layers = [layer for layer in classifier.module.modules() if isinstance(layer, kinds)]
    hooks = [layer.register_forward_hook(lambda layer, _, output: ran.append((layer, output))) for layer in layers]
    try:
        with torch.no_grad():
            logits = classifier(torch.full((1, *classifier.image_shape), 0.5))
    finally:
        for hook in hooks:
            hook.remove()
    if not ran:
        return None
    layer, output = ran[-1]
    same = output[0].numel() == logits.numel() and torch.allclose(output[0].flatten().float(), logits[0], atol=1e-4)
    return layer if same and isinstance(layer, kinds) and layer.weight[0, 0].numel() == 1 else None


def _easy_noise(classifier: Classifier, seed: int) -> Tensor:
    shape = classifier.image_shape
    count = max(1, min(16, 800_000 // (shape[1] * shape[2])))
    images = [kind.draw(make_generator(seed, "noise", place), count, shape) for place, kind in enumerate(NOISE)]
    with torch.no_grad():
        logits = classifier(torch.cat(images))
    return logits.log_softmax(dim=1).mean(dim=0)
