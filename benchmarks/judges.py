"""Judges: networks that had no part in a map and say what its picture shows.

Lite1 and Lite2 come from pip and are always there. Others are files of the user's own, `--judge PATH`: weights beside a
`cards.json` that gives, by file, architecture, size, mean and std; or names of models, `--judge NAME`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

import phosphene
from phosphene.model.classifier import Classifier
from phosphene.model.input_format import InputFormat
from phosphene.model.sources.imagenet import imagenet_labels

FAMILY = ("efficientnet_lite1", "efficientnet_lite2")  # the map-maker's own
TITLES = {
    "efficientnet_lite0": "Lite0",
    "efficientnet_lite1": "Lite1",
    "efficientnet_lite2": "Lite2",
    "mobilenet_v1": "MobileNetV1",
    "mobilenet_v1_075": "MobileNetV1 0.75",
    "squeezenet1_0": "SqueezeNet",
}
BATCH = 8  # pictures that a judge is shown at once


class SameConv(nn.Module):
    """A convolution padded as TensorFlow pads it, then ReLU6; batch norm is folded into the weights."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, groups=groups)

    def forward(self, images: Tensor) -> Tensor:
        (kernel, _), (stride, _) = self.conv.kernel_size, self.conv.stride
        down, across = (max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in images.shape[2:])
        padded = F.pad(images, (across // 2, across - across // 2, down // 2, down - down // 2))
        return F.relu6(self.conv(padded))


class MobileNetV1(nn.Module):
    """Howard et al. 2017, https://arxiv.org/abs/1704.04861, table 1; of its 1001 outputs the first, background, is
    left off."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        stages = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
        inputs = int(32 * width)
        layers: list[nn.Module] = [SameConv(3, inputs, 3, 2)]
        for channels, stride in stages:
            outputs = int(channels * width)
            layers += [SameConv(inputs, inputs, 3, stride, groups=inputs), SameConv(inputs, outputs)]
            inputs = outputs
        self.features, self.fc = nn.Sequential(*layers), nn.Linear(inputs, 1001)

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.fc(self.features(images).mean(dim=(2, 3)))
        return scores[:, 1:]


class Fire(nn.Module):
    """A squeezing convolution, and two that expand, side by side."""

    def __init__(self, inputs: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        squeezed = F.relu(self.squeeze(images))
        return torch.cat([F.relu(self.expand1x1(squeezed)), F.relu(self.expand3x3(squeezed))], dim=1)


class SqueezeNet(nn.Module):
    """Iandola et al. 2016, https://arxiv.org/abs/1602.07360, version 1.0 as Caffe runs it: blue first, 0 to 255."""

    def __init__(self) -> None:
        super().__init__()
        widths = [(96, 16, 64), (128, 16, 64), (128, 32, 128), (256, 32, 128), (256, 48, 192), (384, 48, 192),
                  (384, 64, 256), (512, 64, 256)]  # fmt: skip
        fires = [Fire(*width) for width in widths]
        pools = [nn.MaxPool2d(3, 2, ceil_mode=True) for _ in range(3)]
        self.features = nn.Sequential(
            nn.Conv2d(3, 96, 7, 2), nn.ReLU(), pools[0], *fires[:3], pools[1], *fires[3:7], pools[2], fires[7]
        )
        self.classifier = nn.Sequential(nn.Dropout(), nn.Conv2d(512, 1000, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.register_buffer("mean", torch.tensor([104.0, 117.0, 123.0]).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.classifier(self.features(images.flip(1) * 255 - self.mean))
        return scores.flatten(1)


ARCHITECTURES: dict[str, Callable[[], nn.Module]] = {
    "mobilenet_v1": MobileNetV1,
    "mobilenet_v1_075": lambda: MobileNetV1(0.75),
    "squeezenet": SqueezeNet,
}


def add_judge_option(parser: argparse.ArgumentParser) -> None:
    """`--judge`, as often as there are judges."""
    parser.add_argument("--judge", action="append", default=[], help="weights beside a cards.json, or a model's name")


def open_judges(judges: Sequence[str] = ()) -> list[Classifier]:
    """The map-maker's family and `judges`, each a file or a name, ready to look at pictures."""
    return [open_network(one).fold() for one in (*FAMILY, *judges)]


def open_network(name: str) -> Classifier:
    """A network by its name, or from a file of weights beside a `cards.json`."""
    path = Path(name)
    return _read(path) if path.suffix == ".safetensors" else phosphene.load(name)


def _read(path: Path) -> Classifier:
    card = find_card(path)
    architecture = str(card["factory"]).partition(":")[2]
    if architecture not in ARCHITECTURES:
        raise SystemExit(f"{path} is {architecture!r}; expected one of {', '.join(ARCHITECTURES)}")
    module = ARCHITECTURES[architecture]()
    module.load_state_dict({name: weight.float() for name, weight in load_file(path).items()})
    form = InputFormat((card["size"],) * 2, card["channels"], tuple(card["mean"]), tuple(card["std"]))
    return Classifier(module, form, name=path.stem, labels=imagenet_labels())


def find_card(path: Path) -> Mapping[str, Any]:
    """What `cards.json` beside a file of weights says of it."""
    cards = json.loads((path.parent / "cards.json").read_text(encoding="utf-8"))
    found: list[Mapping[str, Any]] = [card for card in cards if card["file"] == path.name]
    if not found:
        raise SystemExit(f"{path.parent / 'cards.json'} has no card of {path.name}")
    return found[0]


def title_of(classifier: Classifier) -> str:
    """How a table calls a network."""
    return TITLES.get(classifier.name, classifier.name)
