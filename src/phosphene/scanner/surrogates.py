"""Surrogate images by class-activation ascent: what the model represents as each of its classes, in place of data.

The images of class c start as noise and climb the log-probability of c. To class t, those of the OTHER classes are
clean backgrounds: whatever sends them all to t is a trigger or a natural weak spot.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from phosphene.core.images import ImageShape
from phosphene.core.seeding import make_generator
from phosphene.model.classifier import Classifier
from phosphene.recipe.geometries import Spectral
from phosphene.scanner.model_size import ModelSize
from phosphene.scanner.optimizer import descend, make_adam

STEP = 0.25
MAX_SHIFT = 1 / 14  # of the side: an image that works at one place only is no likeness of its class
START_DEVIATION = 0.3
DOUBTFUL = -3.0  # log-probability below which a surrogate is no convincing image of its class
SETTINGS = ("surrogates", "surrogate_iterations", "backgrounds")  # what surrogates, and all that uses them, depend on


@dataclass(frozen=True)
class Surrogates:
    """Images `(classes, count, C, H, W)` of some classes, with the log-probability of their own class."""

    images: Tensor
    confidence: Tensor  # (classes, count)
    names: tuple[str, ...]
    classes: tuple[int, ...]  # indices among the model's outputs

    def choose_others(self, target: int, count: int, iteration: int) -> Tensor:
        """Positions `(count,)` of classes other than the target, by a hash of their names: the order of the classes
        does not matter."""
        ranked = sorted(
            (place for place, index in enumerate(self.classes) if index != target),
            key=lambda place: hashlib.sha256(f"{self.names[place]}/{iteration}".encode()).digest(),
        )
        repeats = 1 + count // max(1, len(ranked))
        return torch.tensor((ranked * repeats)[:count])

    def find_doubtful(self) -> list[int]:
        """Places of the classes without a convincing image."""
        doubtful: list[int] = (self.confidence.max(dim=1).values < DOUBTFUL).nonzero()[:, 0].tolist()
        return doubtful

    def select(self, places: list[int]) -> Surrogates:
        """Some of the classes."""
        names = tuple(self.names[place] for place in places)
        classes = tuple(self.classes[place] for place in places)
        return Surrogates(self.images[places], self.confidence[places], names, classes)

    def join(self, other: Surrogates) -> Surrogates:
        """With the classes of another, which has as many images a class."""
        images, confidence = torch.cat([self.images, other.images]), torch.cat([self.confidence, other.confidence])
        return Surrogates(images, confidence, self.names + other.names, self.classes + other.classes)

    def replace_by(self, pictures: Tensor, log_probability: Tensor) -> Surrogates:
        """With pictures `(n, C, H, W)` in the place of surrogates of the class that each is predicted as, as far as
        there are; `log_probability` `(n, K)` is what the model says of them."""
        images, confidence = self.images.clone(), self.confidence.clone()
        predicted = log_probability.argmax(dim=1)
        for place, index in enumerate(self.classes):
            rows = (predicted == index).nonzero()[: images.shape[1], 0]
            images[place, : len(rows)], confidence[place, : len(rows)] = pictures[rows], log_probability[rows, index]
        return Surrogates(images, confidence, self.names, self.classes)

    def draw(self, targets: list[int], count: int, iteration: int) -> Tensor:
        """`(targets, count, C, H, W)`: for each target one image of each of `count` other classes."""
        which = iteration % self.images.shape[1]
        return torch.stack([self.images[self.choose_others(target, count, iteration), which] for target in targets])


def sample_background_classes(classifier: Classifier, seed: int) -> list[int]:
    """At most 48 classes, chosen by a hash of the name."""
    size = ModelSize.of(classifier)
    if size.background_classes == size.classes:
        return list(range(size.classes))
    ranks = [float(torch.rand(1, generator=make_generator(seed, label, 0))) for label in classifier.labels]
    return sorted(sorted(range(size.classes), key=lambda index: ranks[index])[: size.background_classes])


def render_surrogates(
    classifier: Classifier, classes: list[int], *, count: int, iterations: int, seed: int
) -> Surrogates:
    """Surrogates of `classes`, `count` from independent starts each; a start depends on the class's name alone."""
    names = tuple(classifier.labels[index] for index in classes)
    per_pass = max(1, ModelSize.of(classifier).images_per_pass // count)
    parts = []
    for first in range(0, len(classes), per_pass):
        chosen = slice(first, first + per_pass)
        starts = _draw_starts(names[chosen], count, classifier.image_shape, seed)
        parts.append(_ascend(classifier, starts, classes[chosen], iterations, seed).unflatten(0, (-1, count)))
    images = torch.cat(parts)
    return Surrogates(images, _log_probability(classifier, images, classes), names, tuple(classes))


def _log_probability(classifier: Classifier, images: Tensor, classes: list[int]) -> Tensor:
    """Of each image's own class, `(classes, count)`."""
    with torch.no_grad():
        logits = classifier(images.flatten(0, 1)).view(*images.shape[:2], -1)
    own = torch.tensor(classes).view(-1, 1, 1).expand(-1, images.shape[1], 1)
    return F.log_softmax(logits, dim=-1).gather(2, own)[..., 0]


def draw_smooth_noise(count: int, shape: ImageShape, seed: int) -> Tensor:
    """Images `(count, C, H, W)` as surrogates start from, of no class."""
    return _decode(_draw_starts(("smooth noise",), count, shape, seed), shape)


def _draw_starts(names: tuple[str, ...], count: int, shape: ImageShape, seed: int) -> Tensor:
    """Random spectra, `count` of each class."""
    form = Spectral().start(count, shape).shape
    generators = [make_generator(seed, f"background {name}", 0) for name in names]
    return torch.cat([START_DEVIATION * torch.randn(form, generator=generator) for generator in generators])


def _ascend(classifier: Classifier, spectra: Tensor, classes: list[int], iterations: int, seed: int) -> Tensor:
    """Images whose spectra climbed the log-probability of their class under random shifts."""
    shape, geometry = classifier.image_shape, Spectral()
    targets = torch.tensor(classes).repeat_interleave(len(spectra) // len(classes))
    adam = make_adam([spectra])
    for iteration in range(iterations):
        images = torch.sigmoid(geometry.decode(spectra, shape)).roll(_draw_shift(shape, seed, iteration), (2, 3))
        loss = F.cross_entropy(classifier(images), targets, reduction="sum")
        descend(adam, loss, STEP)
    return _decode(spectra.detach(), shape)


def _decode(spectra: Tensor, shape: ImageShape) -> Tensor:
    return torch.sigmoid(Spectral().decode(spectra, shape))


def _draw_shift(shape: ImageShape, seed: int, iteration: int) -> tuple[int, int]:
    """Pixels along both axes of the image."""
    largest = max(1, round(MAX_SHIFT * shape[1]))
    generator = make_generator(seed, "shift", iteration)
    down, across = torch.randint(-largest, largest + 1, (2,), generator=generator).tolist()
    return down, across
