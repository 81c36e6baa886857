"""Where a network can be cut: its linear head, and a layer in the middle that nothing bypasses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from benchmarks.baselines.opinion import StepsAside
from phosphene.core.hooks import forward_hooks
from phosphene.model.classifier import Classifier
from phosphene.model.freezing import frozen


@dataclass(frozen=True)
class Head:
    """The last layer: `weight` `(K, D)` and `bias` `(K)`, with the features `(N, D)` that reach it for `images`."""

    weight: Tensor
    bias: Tensor
    features: Callable[[Tensor], Tensor]


def head(classifier: Classifier) -> Head:
    """The linear layer whose output is the logits; steps aside where there is none."""
    seen: list[tuple[nn.Linear, Tensor, Tensor]] = []

    def keep(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen.append((layer, inputs[0], output))

    layers = [layer for layer in classifier.module.modules() if isinstance(layer, nn.Linear)]

    def run(images: Tensor) -> Tensor:
        seen.clear()
        with forward_hooks((layer, keep) for layer in layers), torch.no_grad():
            return run_module(classifier, images)

    logits = run(_grey(classifier))
    if not seen or seen[-1][2].shape != logits.shape or not torch.equal(seen[-1][2], logits):
        raise StepsAside("no linear layer whose output is the logits")

    def features(images: Tensor) -> Tensor:
        run(images)
        return seen[-1][1]

    layer = seen[-1][0]
    bias = torch.zeros(len(layer.weight)) if layer.bias is None else layer.bias.detach()
    return Head(layer.weight.detach(), bias, features)


@dataclass(frozen=True)
class Middle:
    """A layer in the middle: the shape of its output for one image, whether that is ever negative, what follows."""

    name: str
    shape: tuple[int, ...]
    rectified: bool
    tail: Callable[[Tensor], Tensor]


def middle(classifier: Classifier) -> Middle:
    """The layer nearest to the middle, in order of computing, whose output alone decides the logits."""
    noise = torch.rand(2, *classifier.image_shape, generator=torch.Generator().manual_seed(0))
    outputs = classifier.observe_layers(
        noise, lambda output: output if output.shape[0] == classifier.batch_size else None
    )
    names = list(outputs)
    with torch.no_grad():
        expected = classifier(noise)
        for place in sorted(range(len(names)), key=lambda place: abs(place - len(names) / 2)):
            name, output = names[place], outputs[names[place]]
            try:
                given = replaced(classifier, name, output)
            except (RuntimeError, ValueError):
                continue
            if output.ndim > 1 and given.shape == expected.shape and torch.allclose(given, expected, atol=1e-4):
                rectified = bool((output >= 0).all())
                return Middle(name, tuple(output.shape[1:]), rectified, partial(replaced, classifier, name))
    raise StepsAside("no layer in the middle that nothing bypasses")


def replaced(classifier: Classifier, name: str, features: Tensor) -> Tensor:
    """Logits where the layer `name` gives `features`, whatever came before; the layers before see one grey image."""
    layer = classifier.module.get_submodule(name)
    with forward_hooks([(layer, lambda module, inputs, output: features)]):
        return run_module(classifier, _grey(classifier))


def run_module(classifier: Classifier, images: Tensor) -> Tensor:
    """What the network itself makes of images, in one batch that is never padded."""
    with frozen(classifier.module):
        return classifier.module(classifier.normalize(images))


def _grey(classifier: Classifier) -> Tensor:
    return torch.full((1, *classifier.image_shape), 0.5)


def convolutions(module: nn.Module) -> Iterator[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Convolutions with the batch norm that stands next in the module's own order and fits."""
    layers = [layer for layer in module.modules() if isinstance(layer, (nn.Conv2d, nn.BatchNorm2d))]
    for one, following in pairwise(layers):
        fits = isinstance(one, nn.Conv2d) and isinstance(following, nn.BatchNorm2d)
        if fits and following.num_features == one.out_channels:
            yield one, following
