"""Five small networks, each a stack of `features` and a linear `head`; fewer than 100 000 weights, seconds to train.

The stack is a plain `nn.Sequential`, so that a method which needs the middle of a network can cut it anywhere.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Network(nn.Module):
    """Features of one vector an image, then one linear layer."""

    def __init__(self, *features: nn.Module, width: int, classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(*features)
        self.head = nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))


def normed(inputs: int, outputs: int, side: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    convolution = nn.Conv2d(inputs, outputs, side, stride, side // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


def vgg(channels: int, classes: int) -> Network:
    """Convolutions with batch norm, and pooling between them."""
    return Network(
        normed(channels, 16),
        nn.MaxPool2d(2),
        normed(16, 32),
        nn.MaxPool2d(2),
        normed(32, 64),
        nn.MaxPool2d(2),
        normed(64, 64),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        width=64,
        classes=classes,
    )


class Residual(nn.Module):
    """Two convolutions around which the input is carried; a stride narrows both ways."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            normed(inputs, outputs, stride=stride),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        same = stride == 1 and inputs == outputs
        self.carried = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        return (self.body(images) + self.carried(images)).relu()


def resnet(channels: int, classes: int) -> Network:
    """Three residual blocks."""
    return Network(
        normed(channels, 16, stride=2),
        Residual(16, 16),
        Residual(16, 32, stride=2),
        Residual(32, 48, stride=2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        width=48,
        classes=classes,
    )


def _separable(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(normed(inputs, inputs, stride=stride, groups=inputs), normed(inputs, outputs, side=1))


def separable(channels: int, classes: int) -> Network:
    """Depthwise convolutions, each followed by a pointwise one."""
    return Network(
        normed(channels, 24, stride=2),
        _separable(24, 48),
        _separable(48, 96, stride=2),
        _separable(96, 96),
        _separable(96, 128, stride=2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        width=128,
        classes=classes,
    )


def plain(channels: int, classes: int) -> Network:
    """Convolutions without any normalisation, and a hidden layer that knows places."""
    return Network(
        nn.Conv2d(channels, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(512, 96),
        nn.ReLU(),
        width=96,
        classes=classes,
    )


class Patches(nn.Module):
    """Image → a row of tokens `(N, T, width)`: one for 4×4 pixels, each with its place added.

    Two convolutions cut them out: with one large one the network learned Fashion-MNIST to 72% in the time there is.
    """

    def __init__(self, channels: int, width: int, tokens: int = 64) -> None:
        super().__init__()
        self.cut = nn.Sequential(
            nn.Conv2d(channels, width // 2, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(width // 2, width, 3, stride=2, padding=1),
        )
        self.places = nn.Parameter(0.02 * torch.randn(1, tokens, width))

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.cut(images).flatten(2).transpose(1, 2)
        return tokens + self.places[:, : tokens.shape[1]]


class Block(nn.Module):
    """Attention, then a small perceptron, each added to what came in (normalised first)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.asked, self.mixed = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.thought = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, tokens: Tensor) -> Tensor:
        split = self.asked(self.before(tokens)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        seen = nn.functional.scaled_dot_product_attention(split[0], split[1], split[2])
        tokens = tokens + self.mixed(seen.transpose(1, 2).flatten(2))
        return tokens + self.thought(self.after(tokens))


class Pooled(nn.Module):
    """The mean token."""

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens.mean(dim=1)


def vit(channels: int, classes: int) -> Network:
    """A transformer over patches of 4×4 pixels."""
    return Network(
        Patches(channels, 48),
        Block(48, 4),
        Block(48, 4),
        nn.LayerNorm(48),
        Pooled(),
        width=48,
        classes=classes,
    )


SMALL: dict[str, Callable[[int, int], Network]] = {
    "vgg": vgg, "resnet": resnet, "separable": separable, "plain": plain, "vit": vit,
}  # fmt: skip
