"""What the models of the zoo look at: real Fashion-MNIST, generated signs, and fractals on fallen leaves.

Fashion-MNIST is read from the folder that `--fashion` or the variable `PHOSPHENE_FASHION` names, else from where the
Debian package `dataset-fashion-mnist` has put it. Signs and fractals are drawn and need nothing.
"""

from __future__ import annotations

import functools
import gzip
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.zoo import fractals
from phosphene.errors import BadInput
from phosphene.model.input_format import InputFormat
from phosphene.studies import signs

FASHION_VARIABLE = "PHOSPHENE_FASHION"
PACKAGE = "dataset-fashion-mnist"
GARMENTS = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
TEST = 2000  # images that accuracies and success rates are measured on
SIGN_SIDE = 32
POOL = 12000  # generated training signs, from which each model takes its own
TRAIN_SEED, TEST_SEED = 1, 2
# Tasks of fractals by number of classes, each with systems of its own: a model's classes are those of its task.
TASKS = {3: "ab", 4: "ab", 5: "ab", 7: "ab", 10: "abcdef", 100: "ab"}


@dataclass(frozen=True)
class Images:
    """Images `(N, C, S, S)` in [0,1] and their labels."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: Tensor | slice) -> Images:
        return Images(self.images[rows], self.labels[rows])


@dataclass(frozen=True)
class Domain:
    """A task: its classes, the form of its images, and where both parts of its data come from."""

    name: str
    labels: tuple[str, ...]
    form: InputFormat
    training: Callable[[], Images]
    test: Callable[[], Images]

    @property
    def classes(self) -> int:
        return len(self.labels)


def find_fashion() -> Path:
    """Where the four files of Fashion-MNIST lie; raises `BadInput` where nobody says."""
    stated = os.environ.get(FASHION_VARIABLE)
    if stated:
        return Path(stated)
    if shutil.which("dpkg"):
        listed = subprocess.run(["dpkg", "-L", PACKAGE], capture_output=True, text=True, check=False).stdout
        found = [Path(line).parent for line in listed.splitlines() if line.endswith("train-images-idx3-ubyte.gz")]
        if found:
            return found[0]
    raise BadInput(f"no Fashion-MNIST: install the Debian package {PACKAGE}, or give its folder with --fashion FOLDER")


@functools.cache
def _fashion(part: str) -> Images:
    folder = find_fashion()
    try:
        pixels = gzip.decompress((folder / f"{part}-images-idx3-ubyte.gz").read_bytes())
        labels = gzip.decompress((folder / f"{part}-labels-idx1-ubyte.gz").read_bytes())
    except OSError as error:
        raise BadInput(f"cannot read Fashion-MNIST in {str(folder)!r}: {error}; expected its .gz files") from error
    images = np.frombuffer(pixels, dtype=np.uint8, offset=16).reshape(-1, 1, 28, 28)
    chosen = np.frombuffer(labels, dtype=np.uint8, offset=8)
    return Images(torch.from_numpy(images / np.float32(255)), torch.from_numpy(chosen.astype(np.int64)))


@functools.cache
def _signs(classes: int, count: int, seed: int, side: int) -> Images:
    return Images(*signs.generate_examples(count, classes=classes, seed=seed, size=side))


def _sign_domain(classes: int, side: int = SIGN_SIDE) -> Domain:
    return Domain(
        f"signs{classes}" if side == SIGN_SIDE else f"signs{classes}at{side}",
        signs.class_names(classes),
        InputFormat((side, side), 3, (0.45, 0.45, 0.45), (0.25, 0.25, 0.25)),
        training=lambda: _signs(classes, POOL, TRAIN_SEED, side),
        test=lambda: _signs(classes, TEST, TEST_SEED, side),
    )


@functools.cache
def _fractals(classes: int, count: int, seed: int, system_seed: int) -> Images:
    images, labels = fractals.generate_images(classes, count, seed, system_seed=system_seed)
    return Images(torch.from_numpy(images), torch.from_numpy(labels))


def _fractal_domain(classes: int, letter: str) -> Domain:
    system_seed = 1000 * classes + ord(letter)
    return Domain(
        f"fractals{classes}{letter}",
        tuple(f"fractal {place}" for place in range(classes)),
        InputFormat((fractals.SIDE, fractals.SIDE), 3, (0.49, 0.49, 0.49), (0.23, 0.23, 0.23)),
        training=lambda: _fractals(classes, POOL, TRAIN_SEED, system_seed),
        test=lambda: _fractals(classes, TEST, TEST_SEED, system_seed),
    )


DOMAINS: dict[str, Domain] = {
    "fashion": Domain(
        "fashion",
        GARMENTS,
        InputFormat((28, 28), 1, (0.286,), (0.353,)),
        training=lambda: _fashion("train"),
        test=lambda: _fashion("t10k")[:TEST],
    ),
    "signs10": _sign_domain(10),
    "signs43": _sign_domain(43),
    "signs10at64": _sign_domain(10, side=64),
    **{
        f"fractals{classes}{letter}": _fractal_domain(classes, letter)
        for classes, letters in TASKS.items()
        for letter in letters
    },
}
