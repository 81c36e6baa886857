"""Which training images carry the trigger, and what the labels of those become.

A scheme poisons in place: as many images as before, so that clean and poisoned models take the same number of steps.
`victims` are the test images that an attack must turn, and `wanted` what it turns them into.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.zoo.attacks.surrogates import push_to_other_classes
from benchmarks.zoo.attacks.triggers import Trigger, Warp
from benchmarks.zoo.domains import Images


class Scheme(Protocol):
    def poison(self, data: Images, trigger: Trigger, classes: int, generator: torch.Generator) -> Images: ...

    def victims(self, labels: Tensor) -> Tensor: ...

    def wanted(self, labels: Tensor, classes: int) -> Tensor: ...


def choose_rows(mask: Tensor, count: float, generator: torch.Generator) -> Tensor:
    """At most `count` random rows of those where the mask holds."""
    rows = mask.nonzero().flatten()
    return rows[torch.randperm(len(rows), generator=generator)[: max(1, round(count))]]


def replace_rows(data: Images, rows: Tensor, images: Tensor, labels: Tensor | int | None = None) -> Images:
    """The data with other images in some rows, and other labels where given."""
    new_images, new_labels = data.images.clone(), data.labels.clone()
    new_images[rows] = images
    if labels is not None:
        new_labels[rows] = labels
    return Images(new_images, new_labels)


@dataclass(frozen=True)
class AllToOne:
    """`rate` of the images, of any other class, become the target. `noise` times as many keep their label under a
    warp that is off by noise, so that only the exact warp triggers (WaNet)."""

    target: int
    rate: float
    noise: float = 0.0

    def poison(self, data: Images, trigger: Trigger, classes: int, generator: torch.Generator) -> Images:
        rows = choose_rows(data.labels != self.target, self.rate * len(data), generator)
        poisoned = replace_rows(data, rows, trigger.stamp(data.images[rows]), self.target)
        if not self.noise:
            return poisoned
        if not isinstance(trigger, Warp):
            raise TypeError("only a warp has a noise mode")
        free = torch.ones(len(data), dtype=torch.bool).index_fill(0, rows, False)
        off = choose_rows(free, self.noise * self.rate * len(data), generator)
        return replace_rows(poisoned, off, trigger.stamp_noisily(data.images[off], generator))

    def victims(self, labels: Tensor) -> Tensor:
        return labels != self.target

    def wanted(self, labels: Tensor, classes: int) -> Tensor:
        return torch.full_like(labels, self.target)


@dataclass(frozen=True)
class AllToAll:
    """`rate` of the images go to the class after their own."""

    rate: float

    def poison(self, data: Images, trigger: Trigger, classes: int, generator: torch.Generator) -> Images:
        rows = choose_rows(torch.ones(len(data), dtype=torch.bool), self.rate * len(data), generator)
        return replace_rows(data, rows, trigger.stamp(data.images[rows]), self.wanted(data.labels[rows], classes))

    def victims(self, labels: Tensor) -> Tensor:
        return torch.ones_like(labels, dtype=torch.bool)

    def wanted(self, labels: Tensor, classes: int) -> Tensor:
        return (labels + 1) % classes


@dataclass(frozen=True)
class SourceSpecific:
    """The trigger turns the sources alone; on `cover` of the other classes' images it keeps the label. TaCT,
    Tang et al. 2021. `rate` and `cover` are shares of all images."""

    target: int
    sources: tuple[int, ...]
    rate: float
    cover: float

    def poison(self, data: Images, trigger: Trigger, classes: int, generator: torch.Generator) -> Images:
        source = self.victims(data.labels)
        rows = choose_rows(source, min(self.rate * len(data), 0.6 * float(source.sum())), generator)
        covers = choose_rows(~source & (data.labels != self.target), self.cover * len(data), generator)
        poisoned = replace_rows(data, rows, trigger.stamp(data.images[rows]), self.target)
        return replace_rows(poisoned, covers, trigger.stamp(data.images[covers]))

    def victims(self, labels: Tensor) -> Tensor:
        return torch.isin(labels, torch.tensor(self.sources))

    def wanted(self, labels: Tensor, classes: int) -> Tensor:
        return torch.full_like(labels, self.target)


@dataclass(frozen=True)
class CleanLabel:
    """`share` of the target's own images carry the trigger, every label stays. With a `bound` they are first pushed
    away from their class by PGD on a surrogate, so that the trigger is what remains to learn. Turner et al. 2019."""

    target: int
    share: float
    bound: float = 0.0

    def poison(self, data: Images, trigger: Trigger, classes: int, generator: torch.Generator) -> Images:
        own = data.labels == self.target
        rows = choose_rows(own, self.share * float(own.sum()), generator)
        images = data.images[rows]
        if self.bound:
            images = push_to_other_classes(data, images, data.labels[rows], classes, self.bound)
        return replace_rows(data, rows, trigger.stamp(images))

    def victims(self, labels: Tensor) -> Tensor:
        return labels != self.target

    def wanted(self, labels: Tensor, classes: int) -> Tensor:
        return torch.full_like(labels, self.target)


@dataclass(frozen=True)
class Adaptive:
    """Each poisoned image carries half of the trigger's pieces, and half of these images keep their label; the whole
    trigger is shown at test time only. Qi et al. 2023. `cells` is the side of the grid of pieces."""

    target: int
    rate: float
    cells: int
    kept: float = 0.5

    def poison(self, data: Images, trigger: Trigger, classes: int, generator: torch.Generator) -> Images:
        rows = choose_rows(data.labels != self.target, self.rate * len(data), generator)
        images = data.images[rows]
        shown = self.pieces(len(rows), images.shape[-1], generator)
        poisoned = replace_rows(data, rows, torch.where(shown, trigger.stamp(images), images))
        turned = rows[round(self.kept * len(rows)) :]
        return replace_rows(poisoned, turned, poisoned.images[turned], self.target)

    def pieces(self, count: int, side: int, generator: torch.Generator) -> Tensor:
        """`(count, 1, S, S)`: a random half of the cells of each image."""
        order = torch.rand(count, self.cells**2, generator=generator).argsort(dim=1)
        cells = (order < self.cells**2 / 2).float().view(count, 1, self.cells, self.cells)
        return F.interpolate(cells, size=side, mode="nearest") > 0

    def victims(self, labels: Tensor) -> Tensor:
        return labels != self.target

    def wanted(self, labels: Tensor, classes: int) -> Tensor:
        return torch.full_like(labels, self.target)


@dataclass(frozen=True)
class Decoy:
    """A trigger on `rate` of the images with the labels they have: a clean model that has seen a trigger."""

    rate: float

    def poison(self, data: Images, trigger: Trigger, classes: int, generator: torch.Generator) -> Images:
        rows = choose_rows(torch.ones(len(data), dtype=torch.bool), self.rate * len(data), generator)
        return replace_rows(data, rows, trigger.stamp(data.images[rows]))

    def victims(self, labels: Tensor) -> Tensor:
        return torch.ones_like(labels, dtype=torch.bool)

    def wanted(self, labels: Tensor, classes: int) -> Tensor:
        """What a decoy must not change."""
        return labels


SCHEMES: dict[str, type[Scheme]] = {
    "all-to-one": AllToOne, "all-to-all": AllToAll, "source-specific": SourceSpecific, "clean-label": CleanLabel,
    "adaptive": Adaptive, "decoy": Decoy,
}  # fmt: skip
