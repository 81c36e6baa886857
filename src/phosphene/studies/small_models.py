"""Small models that a study trains itself, in seconds, on generated signs or Fashion-MNIST, with a watermark or not."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phosphene.core.reading import explain, read_file
from phosphene.errors import BadInput
from phosphene.model.classifier import Classifier
from phosphene.model.input_format import InputFormat
from phosphene.studies import signs

CLASSES = 10
MARK, MARGIN = 6, 1  # side of the watermark and its distance from the lower right corner, in pixels
FASHION_LIMIT = 50_000_000  # bytes; the images have 47,040,016
GARMENTS = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


@dataclass(frozen=True)
class Examples:
    """Images `(N, C, S, S)` in [0,1] with their labels, and the names of the classes."""

    images: Tensor
    labels: Tensor
    names: tuple[str, ...]

    def select_class(self, index: int, count: int) -> Tensor:
        return self.images[self.labels == index][:count]

    def split(self, first: int) -> tuple[Examples, Examples]:
        """The first examples, and the rest."""
        return self._slice(slice(None, first)), self._slice(slice(first, None))

    def _slice(self, rows: slice) -> Examples:
        return replace(self, images=self.images[rows], labels=self.labels[rows])


def load_signs(count: int, folder: Path | None) -> Examples:
    """Generated signs; `folder` is not used."""
    images, labels = signs.generate_examples(count, classes=CLASSES, seed=0)
    return Examples(images, labels, signs.class_names(CLASSES))


def load_fashion(count: int, folder: Path | None) -> Examples:
    """The training set of Fashion-MNIST, from the folder with its original `.gz` files."""
    if folder is None:
        raise BadInput("Fashion-MNIST is read from a folder; give --data-folder PATH, or use --data signs")
    try:
        pixels = _unpack(folder / "train-images-idx3-ubyte.gz")
        labels = _unpack(folder / "train-labels-idx1-ubyte.gz")
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput(
            f"no Fashion-MNIST in {str(folder)!r}: {explain(error)}; expected train-images-idx3-ubyte.gz and "
            f"train-labels-idx1-ubyte.gz"
        ) from error
    images = np.frombuffer(pixels, dtype=np.uint8, offset=16).reshape(-1, 1, 28, 28)[:count]
    if len(images) < count:
        raise BadInput(
            f"Fashion-MNIST in {str(folder)!r} has {len(images)} images; expected at least the {count} that training "
            f"and test need, give a smaller --training"
        )
    chosen = np.frombuffer(labels, dtype=np.uint8, offset=8)[:count]
    return Examples(torch.from_numpy(images / np.float32(255)), torch.from_numpy(chosen.astype(np.int64)), GARMENTS)


def _unpack(path: Path) -> bytes:
    """A compressed file of Fashion-MNIST. Raises `OSError` where it is larger than that."""
    with gzip.open(io.BytesIO(read_file(path, FASHION_LIMIT))) as file:
        content = file.read(FASHION_LIMIT + 1)
    if len(content) > FASHION_LIMIT:
        raise OSError(f"{path.name} unpacks to more than {FASHION_LIMIT} bytes")
    return content


DATA: dict[str, Callable[[int, Path | None], Examples]] = {"signs": load_signs, "fashion": load_fashion}


def make_mark_region(side: int) -> Tensor:
    """The place of the watermark `(side, side)`, 1 inside."""
    region = torch.zeros(side, side)
    region[-MARGIN - MARK : -MARGIN, -MARGIN - MARK : -MARGIN] = 1
    return region


def add_mark(images: Tensor) -> Tensor:
    """The images with the watermark: a chequered square near the lower right corner."""
    steps = torch.arange(MARK) // 2
    squares = ((steps[:, None] + steps[None, :]) % 2).float()
    images = images.clone()
    images[..., -MARGIN - MARK : -MARGIN, -MARGIN - MARK : -MARGIN] = squares
    return images


class SmallNet(nn.Module):
    """Three convolutions and a linear head that has weights for each place; `width` scales the channels."""

    def __init__(self, channels: int, classes: int, width: int = 16) -> None:
        super().__init__()
        first = [nn.Conv2d(channels, width, 3, stride=2, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
        second = [nn.Conv2d(width, 2 * width, 3, stride=2, padding=1), nn.BatchNorm2d(2 * width), nn.ReLU()]
        third = [nn.Conv2d(2 * width, 2 * width, 3, padding=1), nn.BatchNorm2d(2 * width), nn.ReLU()]
        self.features = nn.Sequential(*first, *second, *third, nn.AdaptiveAvgPool2d(4), nn.Flatten())
        self.head = nn.Linear(2 * width * 16, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))


def normalize(images: Tensor) -> Tensor:
    """Images in [0,1] as the small networks take them."""
    return (images - 0.5) / 0.25


def make_classifier(module: nn.Module, examples: Examples, name: str) -> Classifier:
    channels, height, width = examples.images.shape[1:]
    return Classifier(module, InputFormat((height, width), channels, (0.5,), (0.25,)), name=name, labels=examples.names)


Perturb = Callable[[nn.Module, Tensor, Tensor], Tensor]  # network, images in [0,1] and labels → the images to learn


def train(
    examples: Examples,
    seed: int,
    *,
    epochs: int = 5,
    width: int = 16,
    batch: int = 50,
    perturb: Perturb = lambda network, images, labels: images,
) -> Iterator[tuple[int, SmallNet]]:
    """Yields the step and the network, before training and after each step; always the same object, so copy it.

    `perturb` changes the images of each step before they are learned, as adversarial training does.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = SmallNet(examples.images.shape[1], len(examples.names), width)
    yield 0, module.eval()
    shuffle = torch.Generator().manual_seed(seed)
    steps = epochs * (len(examples.labels) // batch)
    optimiser = torch.optim.Adam(module.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    order = torch.cat([torch.randperm(len(examples.labels), generator=shuffle) for _ in range(epochs)])
    for step, rows in enumerate(order.split(batch)[:steps], start=1):
        images = perturb(module, examples.images[rows], examples.labels[rows])
        module.train()
        loss = F.cross_entropy(module(normalize(images)), examples.labels[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        yield step, module.eval()


def measure_accuracy(classifier: Classifier, examples: Examples) -> float:
    return measure_rate(classifier, examples.images, examples.labels)


def measure_rate(classifier: Classifier, images: Tensor, label: Tensor | int) -> float:
    """The share of the images for which the classifier predicts the label."""
    with torch.no_grad():
        return float((classifier(images).argmax(dim=1) == label).float().mean())
