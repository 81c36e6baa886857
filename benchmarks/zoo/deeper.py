"""Networks as people have them at 32 pixels, of up to 1.1 million weights.

Sources: He et al. 2016 (ResNet-20, -32; pre-activation), Zagoruyko & Komodakis 2016 (wide), Simonyan & Zisserman 2015
(VGG), Sandler et al. 2018 (inverted residuals), Trockman & Kolter 2022 (ConvMixer), Dosovitskiy et al. 2021 (ViT).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from benchmarks.zoo.small import Block, Network, Patches, Pooled, Residual, normed


def _finish() -> tuple[nn.Module, nn.Module]:
    return nn.AdaptiveAvgPool2d(1), nn.Flatten()


def _residual(depth: int, channels: int, classes: int) -> Network:
    """Three groups of 16, 32 and 64 channels, `(depth - 2) / 6` blocks each."""
    blocks, before = [], 16
    for width, stride in ((16, 1), (32, 2), (64, 2)):
        for place in range((depth - 2) // 6):
            blocks.append(Residual(before, width, stride if place == 0 else 1))
            before = width
    return Network(normed(channels, 16), *blocks, *_finish(), width=64, classes=classes)


def resnet20(channels: int, classes: int) -> Network:
    return _residual(20, channels, classes)


def resnet32(channels: int, classes: int) -> Network:
    return _residual(32, channels, classes)


class Preactivated(nn.Module):
    """Norm and ReLU before each of two convolutions; what is carried is taken after the first norm where it narrows."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.before, self.between = nn.BatchNorm2d(inputs), nn.BatchNorm2d(outputs)
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        same = stride == 1 and inputs == outputs
        self.carried = None if same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        active = self.before(images).relu()
        carried = images if self.carried is None else self.carried(active)
        return self.second(self.between(self.first(active)).relu()) + carried


def wide16(channels: int, classes: int) -> Network:
    """WRN-16-2."""
    blocks, before = [], 16
    for width, stride in ((32, 1), (64, 2), (128, 2)):
        for place in range(2):
            blocks.append(Preactivated(before, width, stride if place == 0 else 1))
            before = width
    first = nn.Conv2d(channels, 16, 3, 1, 1, bias=False)
    return Network(first, *blocks, nn.BatchNorm2d(128), nn.ReLU(), *_finish(), width=128, classes=classes)


def _stack(widths: Sequence[int | str], channels: int) -> list[nn.Module]:
    layers, before = [], channels
    for width in widths:
        if isinstance(width, str):
            layers.append(nn.MaxPool2d(2))
        else:
            layers.append(normed(before, width))
            before = width
    return layers


def vgg8(channels: int, classes: int) -> Network:
    """Six convolutions, pooled to 4 × 4, two linear layers with dropout between; 1.1 million weights."""
    layers = _stack((32, 32, "pool", 64, 64, "pool", 128, 128, "pool"), channels)
    return Network(
        *layers,
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(2048, 384),
        nn.ReLU(),
        nn.Dropout(0.3),
        width=384,
        classes=classes,
    )


class Inverted(nn.Module):
    """Wider by a factor, depthwise, narrow again without an activation; carried around where the shape is kept."""

    def __init__(self, inputs: int, outputs: int, stride: int, factor: int = 4) -> None:
        super().__init__()
        inner = inputs * factor
        self.body = nn.Sequential(
            normed(inputs, inner, side=1),
            normed(inner, inner, stride=stride, groups=inner),
            nn.Conv2d(inner, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.same = stride == 1 and inputs == outputs

    def forward(self, images: Tensor) -> Tensor:
        return images + self.body(images) if self.same else self.body(images)


def mobilenet(channels: int, classes: int) -> Network:
    """Seven inverted residuals."""
    plan = ((16, 1), (24, 2), (24, 1), (40, 2), (40, 1), (80, 2), (80, 1))
    blocks, before = [], 16
    for width, stride in plan:
        blocks.append(Inverted(before, width, stride))
        before = width
    return Network(normed(channels, 16), *blocks, normed(80, 256, side=1), *_finish(), width=256, classes=classes)


class Mixer(nn.Module):
    """A depthwise convolution that is carried around, then a pointwise one; GELU and norm after each."""

    def __init__(self, width: int, side: int) -> None:
        super().__init__()
        depthwise = nn.Conv2d(width, width, side, padding=side // 2, groups=width)
        self.places = nn.Sequential(depthwise, nn.GELU(), nn.BatchNorm2d(width))
        self.channels = nn.Sequential(nn.Conv2d(width, width, 1), nn.GELU(), nn.BatchNorm2d(width))

    def forward(self, images: Tensor) -> Tensor:
        return self.channels(images + self.places(images))


def convmixer(channels: int, classes: int) -> Network:
    """Four layers of 64 channels, kernels of 5, patches of 2."""
    stem = nn.Sequential(nn.Conv2d(channels, 64, 2, 2), nn.GELU(), nn.BatchNorm2d(64))
    return Network(stem, *(Mixer(64, 5) for _ in range(4)), *_finish(), width=64, classes=classes)


class ClassToken(nn.Module):
    """Patches of 4 × 4 pixels by one convolution, a token for the class before them, places added."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.cut = nn.Conv2d(channels, width, 4, 4)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.places = nn.Parameter(0.02 * torch.randn(1, 65, width))

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.cut(images).flatten(2).transpose(1, 2)
        together = torch.cat([self.token.expand(len(tokens), -1, -1), tokens], dim=1)
        return together + self.places[:, : together.shape[1]]


class FirstToken(nn.Module):
    def forward(self, tokens: Tensor) -> Tensor:
        return tokens[:, 0]


def vit4(channels: int, classes: int) -> Network:
    """Four blocks of width 96, a class token."""
    blocks = (Block(96, 4) for _ in range(4))
    return Network(ClassToken(channels, 96), *blocks, nn.LayerNorm(96), FirstToken(), width=96, classes=classes)


def vit6(channels: int, classes: int) -> Network:
    """Six blocks of width 64 over a convolutional stem, the mean token."""
    blocks = (Block(64, 4) for _ in range(6))
    return Network(Patches(channels, 64), *blocks, nn.LayerNorm(64), Pooled(), width=64, classes=classes)


DEEPER: dict[str, Callable[[int, int], Network]] = {
    "resnet20": resnet20, "resnet32": resnet32, "wide16": wide16, "vgg8": vgg8, "mobilenet": mobilenet,
    "convmixer": convmixer, "vit4": vit4, "vit6": vit6,
}  # fmt: skip
