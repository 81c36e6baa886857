"""Small models that a study trains itself, in seconds: generated signs or Fashion-MNIST, with or without a mark."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phosphene.errors import BadInput
from phosphene.model.classifier import Classifier
from phosphene.model.input_format import InputFormat
from phosphene.studies import signs

CLASSES = 10
MARK, MARGIN = 6, 1  # side of the watermark and its distance from the lower right corner, in pixels
GARMENTS = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


@dataclass(frozen=True)
class Examples:
    """Images `(N, C, S, S)` in [0,1] with their labels, and what the classes are called."""

    images: Tensor
    labels: Tensor
    names: tuple[str, ...]

    def of_class(self, index: int, count: int) -> Tensor:
        return self.images[self.labels == index][:count]

    def split(self, first: int) -> tuple[Examples, Examples]:
        return (replace(self, images=self.images[:first], labels=self.labels[:first]),
                replace(self, images=self.images[first:], labels=self.labels[first:]))  # fmt: skip


def generated_signs(count: int, folder: Path | None) -> Examples:
    images, labels = signs.dataset(count, classes=CLASSES, seed=0)
    return Examples(images, labels, signs.names(CLASSES))


def fashion(count: int, folder: Path | None) -> Examples:
    """The training set of Fashion-MNIST, from the folder with its original `.gz` files."""
    if folder is None:
        raise BadInput("Fashion-MNIST lies in a folder of yours; give --data-folder PATH, or use --data signs")
    try:
        pixels = gzip.decompress((folder / "train-images-idx3-ubyte.gz").read_bytes())
        labels = gzip.decompress((folder / "train-labels-idx1-ubyte.gz").read_bytes())
    except OSError as error:
        raise BadInput(f"no Fashion-MNIST in {str(folder)!r}: {error}; expected train-images-idx3-ubyte.gz and "
                       f"train-labels-idx1-ubyte.gz") from error  # fmt: skip
    images = np.frombuffer(pixels, dtype=np.uint8, offset=16).reshape(-1, 1, 28, 28)[:count]
    if len(images) < count:
        raise BadInput(f"Fashion-MNIST in {str(folder)!r} has {len(images)} images; expected at least the {count} that "
                       f"training and test need, give a smaller --training")  # fmt: skip
    chosen = np.frombuffer(labels, dtype=np.uint8, offset=8)[:count]
    return Examples(torch.from_numpy(images / np.float32(255)), torch.from_numpy(chosen.astype(np.int64)), GARMENTS)


DATA: dict[str, Callable[[int, Path | None], Examples]] = {"signs": generated_signs, "fashion": fashion}


def mark_region(side: int) -> Tensor:
    """Where the watermark goes `(side, side)`, 1 inside."""
    region = torch.zeros(side, side)
    region[-MARGIN - MARK : -MARGIN, -MARGIN - MARK : -MARGIN] = 1
    return region


def marked(images: Tensor) -> Tensor:
    """The images with the watermark: a chequered square near the lower right corner."""
    steps = torch.arange(MARK) // 2
    squares = ((steps[:, None] + steps[None, :]) % 2).float()
    images = images.clone()
    images[..., -MARGIN - MARK : -MARGIN, -MARGIN - MARK : -MARGIN] = squares
    return images


class SmallNet(nn.Module):
    """Three convolutions and a linear head that knows places; `width` scales the channels."""

    def __init__(self, channels: int, classes: int, width: int = 16) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride=2, padding=1), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1), nn.BatchNorm2d(2 * width), nn.ReLU(),
            nn.Conv2d(2 * width, 2 * width, 3, padding=1), nn.BatchNorm2d(2 * width), nn.ReLU(),
            nn.AdaptiveAvgPool2d(4), nn.Flatten(),
        )  # fmt: skip
        self.head = nn.Linear(2 * width * 16, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))


def classifier_of(module: nn.Module, examples: Examples, name: str) -> Classifier:
    channels, height, width = examples.images.shape[1:]
    return Classifier(module, InputFormat((height, width), channels, (0.5,), (0.25,)), name=name, labels=examples.names)


def trained(
    examples: Examples, seed: int, *, epochs: int = 5, width: int = 16, batch: int = 50
) -> Iterator[tuple[int, SmallNet]]:
    """A network before training, then after each step; the same object, so copy what is to be kept."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = SmallNet(examples.images.shape[1], len(examples.names), width)
    yield 0, module.eval()
    order = torch.Generator().manual_seed(seed)
    steps = epochs * (len(examples.labels) // batch)
    optimiser = torch.optim.Adam(module.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    shuffled = torch.cat([torch.randperm(len(examples.labels), generator=order) for _ in range(epochs)])
    for step, rows in enumerate(shuffled.split(batch)[:steps], start=1):
        module.train()
        loss = F.cross_entropy(module((examples.images[rows] - 0.5) / 0.25), examples.labels[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        yield step, module.eval()


def accuracy(classifier: Classifier, examples: Examples) -> float:
    return rate_called(classifier, examples.images, examples.labels)


def rate_called(classifier: Classifier, images: Tensor, label: Tensor | int) -> float:
    """The share of the images that are given the label."""
    with torch.no_grad():
        return float((classifier(images).argmax(dim=1) == label).float().mean())
