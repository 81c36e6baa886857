"""Tiny models whose answers are known: no training, no download, the same weights on every machine.

They are also what the command line's `--factory` builds in the tests, so each factory takes no arguments.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from phosphene.model.classifier import Classifier
from phosphene.model.input_format import InputFormat


class Linear(nn.Module):
    """Logits are `images · weight + bias`: the gradient of logit k is row k, whatever the image."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(bias if bias is not None else torch.zeros(len(weight)))

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weight.flatten(1).T + self.bias


def linear_classifier(
    shape: tuple[int, int, int] = (3, 6, 5),
    outputs: int = 4,
    seed: int = 0,
    weight: Tensor | None = None,
    **form: object,
) -> Classifier:
    """A linear model of Gaussian weights `(outputs, C, H, W)`, or of the given ones."""
    if weight is None:
        weight = torch.randn(outputs, *shape, generator=torch.Generator().manual_seed(seed))
    channels, height, width = weight.shape[1:]
    return Classifier(Linear(weight), InputFormat((height, width), channels, **form), name="linear")  # type: ignore[arg-type]


class ConvNet(nn.Module):
    """Two strided convolutions with batch norms whose statistics are far from neutral, and a linear head."""

    def __init__(self, channels: int, outputs: int, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.stem = nn.Conv2d(channels, 8, 3, stride=2, padding=1, bias=False)
            self.stem_norm = nn.BatchNorm2d(8)
            self.body = nn.Conv2d(8, 16, 3, stride=2, padding=1)
            self.body_norm = nn.BatchNorm2d(16)
            self.head = nn.Linear(16, outputs)
            for norm in (self.stem_norm, self.body_norm):
                nn.init.normal_(norm.running_mean, std=0.3)
                nn.init.uniform_(norm.running_var, 0.5, 2.0)
                nn.init.uniform_(norm.weight, 0.5, 2.0)
                nn.init.normal_(norm.bias, std=0.3)
            nn.init.normal_(self.head.weight, std=3.0)

    def forward(self, images: Tensor) -> Tensor:
        features = self.stem_norm(self.stem(images)).relu()
        features = self.body_norm(self.body(features)).relu()
        return self.head(features.mean(dim=(2, 3)))


def grey_net() -> ConvNet:
    return ConvNet(channels=1, outputs=10)


def colour_net() -> ConvNet:
    return ConvNet(channels=3, outputs=20)


def grey_classifier() -> Classifier:
    return Classifier(grey_net(), InputFormat((28, 28), 1, (0.1307,), (0.3081,)), name="grey")


def colour_classifier() -> Classifier:
    return Classifier(colour_net(), InputFormat((32, 32), 3, (0.5,), (0.25,)), name="colour")


def softmax_net() -> nn.Module:
    return nn.Sequential(colour_net(), nn.Softmax(dim=1))


def sigmoid_net() -> nn.Module:
    return nn.Sequential(colour_net(), nn.Sigmoid())


def cosine(a: Tensor, b: Tensor) -> float:
    return torch.nn.functional.cosine_similarity(a.flatten(), b.flatten(), dim=0).item()
