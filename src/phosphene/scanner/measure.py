"""What a scan measures, stage by stage, before anything is judged.

Head and weight probes → surrogate images → short searches for every class → pairs of classes → long searches for the
most suspicious classes and for random controls. Nothing here knows of thresholds, weights or other models.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from phosphene.classifier import Classifier
from phosphene.sampling import seeded
from phosphene.scanner.backgrounds import SURE, Backgrounds, rendered
from phosphene.scanner.calibration import Row
from phosphene.scanner.families import FAMILIES
from phosphene.scanner.probes import probed
from phosphene.scanner.search import Found, smallest
from phosphene.scanner.settings import Clock, Settings

ROWS = 4_000_000  # pixels of images in one forward and backward
SOURCES = 48  # classes that serve as backgrounds where there are many


@dataclass
class Measured:
    """Everything measured so far, by stage; `short[family]` has one candidate a class."""

    settings: Settings
    row: Row
    backgrounds: Backgrounds
    short: dict[str, Found]
    pairs: Tensor | None  # (K, K) log sizes, nan where not searched
    checks: list[str] = field(default_factory=list)


def measured(classifier: Classifier, settings: Settings, clock: Clock, told: Callable[[str], None]) -> Measured:
    """The stages that every class goes through; `classifier` is folded."""
    count = len(classifier.labels)
    told("head and weight probes")
    with clock.stage("probes", count):
        probes = probed(classifier, settings.seed)
    told("surrogate images")
    held = _held(classifier, settings.seed)
    with clock.stage("surrogates", len(held)):
        backgrounds = rendered(classifier, held, count=settings.surrogates, iterations=settings.surrogate_iterations,
                               seed=settings.seed, rows=rows_at_once(classifier))  # fmt: skip
    short: dict[str, Found] = {}
    for name, iterations in settings.short.items():
        told(f"short searches: {name}")
        with clock.stage(f"short {name}", count):
            short[name] = searched(classifier, name, list(range(count)), backgrounds, iterations, settings)
    pairs = None
    if settings.pair_iterations and count <= settings.pair_classes:
        told("pairs of classes")
        with clock.stage("pairs", count):
            pairs = paired(classifier, backgrounds, settings)
    statistics = dict(probes.statistics)
    statistics["confidence"] = _confidence(backgrounds, count)
    for name, found in short.items():
        statistics[name] = -found.log_size
    whole = {f"level {name}": float(found.log_size.median()) for name, found in short.items()}
    if pairs is not None:
        statistics["pairs_to"] = -_column_means(pairs)
        statistics["pairs_excess"] = -_column_means(pairs) + _column_means(pairs.T)
    row = Row(classifier.name, classifier.fingerprint, count, classifier.format.size[0], classifier.format.channels,
              {name: tuple(values.tolist()) for name, values in statistics.items()}, whole)  # fmt: skip
    checks = list(probes.checks)
    doubtful = [
        backgrounds.names[place] for place in (backgrounds.confidence.max(dim=1).values < -SURE).nonzero()[:, 0]
    ]
    if doubtful:
        checks.append(f"no convincing surrogate image of {', '.join(doubtful[:5])}")
    return Measured(settings, row, backgrounds, short, pairs, checks)


def searched(
    classifier: Classifier,
    family: str,
    targets: list[int],
    backgrounds: Backgrounds,
    iterations: int,
    settings: Settings,
    restart: int = 0,
) -> Found:
    """The smallest triggers of a family for `targets`, in as many batches as memory wants."""
    per = max(1, rows_at_once(classifier) // settings.images)
    parts = []
    for first in range(0, len(targets), per):
        chosen = targets[first : first + per]
        names = [f"{classifier.labels[index]}/{restart}" for index in chosen]

        def draw(iteration: int, chosen: list[int] = chosen) -> Tensor:
            return backgrounds.draw(chosen, settings.images, iteration + 1000 * restart)

        parts.append(smallest(classifier, FAMILIES[family], names, torch.tensor(chosen), draw,
                              iterations=iterations, seed=settings.seed))  # fmt: skip
    return _joined(parts)


def paired(classifier: Classifier, backgrounds: Backgrounds, settings: Settings) -> Tensor:
    """Log size of the smallest patch that sends images of class s to class t, `(K, K)`, nan on the diagonal."""
    count = len(classifier.labels)
    pairs = [(source, target) for source, target in itertools.product(range(count), repeat=2) if source != target]
    per = max(1, rows_at_once(classifier) // settings.pair_images)
    sizes = torch.full((count, count), torch.nan)
    for first in range(0, len(pairs), per):
        sources, targets = (torch.tensor(side) for side in zip(*pairs[first : first + per], strict=True))
        names = [f"{classifier.labels[s]} > {classifier.labels[t]}" for s, t in pairs[first : first + per]]

        def draw(iteration: int, sources: Tensor = sources) -> Tensor:
            which = [(iteration + place) % backgrounds.images.shape[1] for place in range(settings.pair_images)]
            return backgrounds.images[sources][:, which]

        found = smallest(classifier, FAMILIES["patch"], names, targets, draw, iterations=settings.pair_iterations,
                         seed=settings.seed)  # fmt: skip
        sizes[sources, targets] = found.log_size
    return sizes


def rows_at_once(classifier: Classifier) -> int:
    """Images in one forward and backward, from their size alone: never from the machine, for the sake of repetition."""
    channels, height, width = classifier.image_shape
    return max(8, min(800, ROWS // (channels * height * width)))


def _held(classifier: Classifier, seed: int) -> list[int]:
    """Classes that serve as backgrounds: all, or some that their names decide on."""
    count = len(classifier.labels)
    if count <= SOURCES:
        return list(range(count))
    ranks = [float(torch.rand(1, generator=seeded(seed, label, 0))) for label in classifier.labels]
    return sorted(sorted(range(count), key=lambda index: ranks[index])[:SOURCES])


def _confidence(backgrounds: Backgrounds, count: int) -> Tensor:
    values = torch.full((count,), torch.nan)
    values[list(backgrounds.held)] = backgrounds.confidence.mean(dim=1)
    return values


def _column_means(sizes: Tensor) -> Tensor:
    return sizes.nanmean(dim=0)


def _joined(parts: list[Found]) -> Found:
    tensors = tuple(torch.cat(several) for several in zip(*(part.parameters for part in parts), strict=True))
    return Found(parts[0].family, tensors, torch.cat([part.log_size for part in parts]),
                 torch.cat([part.flip_rate for part in parts]))  # fmt: skip
