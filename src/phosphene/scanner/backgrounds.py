"""Surrogate images: what the model itself takes for each of its classes, in place of the clean data that one lacks.

The images of class c are its input-agnostic maps, rendered to [0,1] from several starts. To class t, those of the OTHER
classes are clean backgrounds: whatever sends them all to t is a trigger or a natural weak spot.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from phosphene.core.seeding import make_generator
from phosphene.model.classifier import Classifier
from phosphene.recipe.geometries import Spectral

STEP = 0.25
LARGEST_SHIFT = 1 / 14  # of the side: images that only work at one place are no likeness of anything
SURE = 3.0  # nats of −log p below which an image counts as its class


@dataclass(frozen=True)
class Backgrounds:
    """Surrogates `(classes, count, C, H, W)` of the classes `held`, with the log-probability of their own class."""

    images: Tensor
    confidence: Tensor  # (classes, count)
    names: tuple[str, ...]
    held: tuple[int, ...]  # class indices

    def others(self, target: int, count: int, round_: int) -> Tensor:
        """Which of `held` serve target in this round: `(count,)` positions, never the target's own.

        By a hash of names, so that it does not depend on the order of the classes.
        """
        ranked = sorted(
            (place for place, index in enumerate(self.held) if index != target),
            key=lambda place: hashlib.sha256(f"{self.names[place]}/{round_}".encode()).digest(),
        )
        return torch.tensor((ranked * (1 + count // max(1, len(ranked))))[:count])

    def draw(self, targets: list[int], count: int, round_: int) -> Tensor:
        """`(targets, count, C, H, W)`: one image of each of `count` other classes."""
        which = round_ % self.images.shape[1]
        return torch.stack([self.images[self.others(target, count, round_), which] for target in targets])


def rendered(
    classifier: Classifier, classes: list[int], *, count: int, iterations: int, seed: int, rows: int = 640
) -> Backgrounds:
    """Surrogates of `classes`, `count` from independent starts each; a start depends on the class's name alone."""
    names = tuple(classifier.labels[index] for index in classes)
    per = max(1, rows // count)
    images = [
        _ascended(classifier, classes[first : first + per], names[first : first + per], count, iterations, seed)
        for first in range(0, len(classes), per)
    ]
    everything = torch.cat(images)
    with torch.no_grad():
        logits = classifier(everything.flatten(0, 1)).view(len(classes), count, -1)
    own = F.log_softmax(logits, dim=-1).gather(2, torch.tensor(classes).view(-1, 1, 1).expand(-1, count, 1))[..., 0]
    return Backgrounds(everything, own, names, tuple(classes))


def _ascended(
    classifier: Classifier, classes: list[int], names: tuple[str, ...], count: int, iterations: int, seed: int
) -> Tensor:
    shape, geometry = classifier.image_shape, Spectral()
    form = geometry.start(count, shape).shape
    spectrum = torch.cat(
        [0.3 * torch.randn(form, generator=make_generator(seed, f"background {name}", 0)) for name in names]
    )
    targets = torch.tensor(classes).repeat_interleave(count)
    adam = Adam.zero((spectrum,))
    largest = max(1, round(LARGEST_SHIFT * shape[1]))
    for iteration in range(iterations):
        across, down = torch.randint(
            -largest, largest + 1, (2,), generator=make_generator(seed, "shift", iteration)
        ).tolist()
        spectrum.requires_grad_()
        images = torch.sigmoid(geometry.decode(spectrum, shape)).roll((across, down), (2, 3))
        loss = F.cross_entropy(classifier(images), targets, reduction="sum")
        (slope,) = torch.autograd.grad(loss, (spectrum,))
        (move,) = adam.step((slope,))
        spectrum = spectrum.detach() - STEP * move
    return torch.sigmoid(geometry.decode(spectrum, shape)).view(len(classes), count, *shape)


class Adam:
    """Bias-corrected first and second moments of several tensors; the move, not the step size."""

    def __init__(self, first: list[Tensor], second: list[Tensor], betas: tuple[float, float] = (0.8, 0.95)) -> None:
        self.first, self.second, self.betas, self.count = first, second, betas, 0

    @staticmethod
    def zero(like: tuple[Tensor, ...]) -> Adam:
        return Adam([torch.zeros_like(one) for one in like], [torch.zeros_like(one) for one in like])

    def step(self, slopes: tuple[Tensor, ...]) -> list[Tensor]:
        self.count += 1
        fast, slow = self.betas
        moves = []
        for first, second, slope in zip(self.first, self.second, slopes, strict=True):
            first.mul_(fast).add_(slope, alpha=1 - fast)
            second.mul_(slow).addcmul_(slope, slope, value=1 - slow)
            moves.append(first / (1 - fast**self.count) / ((second / (1 - slow**self.count)).sqrt() + 1e-12))
        return moves
