"""What a scan measures, stage by stage, before anything is judged.

Head and weight probes → surrogate images → short searches for every class → pairs of classes → long searches for the
most suspicious classes and for random controls. Nothing here knows of thresholds, weights or other models.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from phosphene.core.seeding import make_generator
from phosphene.model.classifier import Classifier
from phosphene.scanner.backgrounds import SURE, Backgrounds, rendered
from phosphene.scanner.calibration import Row
from phosphene.scanner.families import FAMILIES, Family
from phosphene.scanner.margins import margins
from phosphene.scanner.permutation import permuting
from phosphene.scanner.probes import probed
from phosphene.scanner.search import Found, smallest
from phosphene.scanner.settings import SOURCES, Clock, Settings, rows_at_once
from phosphene.scanner.stamps import reached

PERMUTED = ("patch", "additive", "warp")  # families that are tried as permutations of the classes
LEAST = 1e-3  # of a margin, before its logarithm
LARGEST_BATCH = 180  # images; beyond, a pass is no faster
FEW = 16  # images a pass: where no more fit into a cache, more together would be slower


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
    count, rows = len(classifier.labels), rows_at_once(classifier)
    everyone, held = list(range(count)), _held(classifier, settings.seed)

    @contextmanager
    def stage(name: str, classes: int = count) -> Iterator[None]:
        nonlocal settings
        settings = clock.replanned(settings, count, name)
        told(name)
        with clock.stage(name, classes):
            yield

    with stage("probes"):
        probes = probed(classifier, settings.seed)
    with stage("margins"):
        furthest = margins(classifier, settings.margin_starts, settings.margin_iterations, settings.seed, rows)
    with stage("surrogates", len(held)):
        backgrounds = rendered(classifier, held, count=settings.surrogates, iterations=settings.surrogate_iterations,
                               seed=settings.seed, rows=rows)  # fmt: skip
    with stage("stamps"):
        stamped = reached(classifier, backgrounds, settings.stamps, settings.seed, rows)
    short: dict[str, Found] = {}
    for name in settings.short:
        with stage(f"short {name}"):
            short[name] = searched(classifier, FAMILIES[name], everyone, backgrounds, settings.short[name], settings)
    pairs = None
    if settings.pair_iterations and count <= settings.pair_classes:
        with stage("pairs"):
            pairs = paired(classifier, backgrounds, settings)
    with stage("permutations", len(held)):
        scattered = {f"permutation {name}": permuting(classifier, backgrounds, FAMILIES[name], settings, rows)
                     for name in PERMUTED}  # fmt: skip
    statistics = probes.statistics | {"margin": furthest.clamp(min=LEAST).log()}
    statistics |= stamped | {"confidence": _confidence(backgrounds, count)} | _sizes(list(short.values()), pairs)
    levels = {f"level {name}": float(-found.easiness.median()) for name, found in short.items()}
    row = Row(classifier.name, classifier.fingerprint, count, classifier.format.size[0], classifier.format.channels,
              {name: tuple(values.tolist()) for name, values in statistics.items()}, levels | scattered)  # fmt: skip
    return Measured(settings, row, backgrounds, short, pairs, [*probes.checks, *_doubts(backgrounds)])


def _sizes(found: list[Found], pairs: Tensor | None) -> dict[str, Tensor]:
    """Easiness of each class by each search: −log of the size where it settled; how concentrated its patch is."""
    statistics = {one.family.name: one.easiness for one in found}
    for one in found:
        if one.family.name == "patch":
            statistics["concentration"] = concentration(one.parameters[0])
    if pairs is not None:
        statistics["pairs_to"] = -pairs.nanmean(dim=0)
        statistics["pairs_one"] = _alone(-pairs)
        statistics["pairs_excess"] = -pairs.nanmean(dim=0) + pairs.nanmean(dim=1)
    return statistics


def _alone(easiness: Tensor) -> Tensor:
    """Per target, how far its easiest source lies above what this source and this target explain together."""
    rest = easiness - easiness.nanmean(dim=1, keepdim=True) - easiness.nanmean(dim=0, keepdim=True)
    return (rest + easiness.nanmean()).nan_to_num(nan=-torch.inf).max(dim=0).values


def concentration(masks: Tensor) -> Tensor:
    """Share of a mask `(classes, 1, H, W)` that lies in its largest fiftieth of pixels."""
    ordered = masks.flatten(1).sort(dim=1, descending=True).values
    return ordered[:, : max(1, ordered.shape[1] // 50)].sum(dim=1) / ordered.sum(dim=1).clamp(min=1e-9)


def _doubts(backgrounds: Backgrounds) -> list[str]:
    unsure = (backgrounds.confidence.max(dim=1).values < -SURE).nonzero()[:, 0]
    names = [backgrounds.names[place] for place in unsure]
    return [f"no convincing surrogate image of {', '.join(names[:5])}"] if names else []


def searched(
    classifier: Classifier,
    family: Family,
    targets: list[int],
    backgrounds: Backgrounds,
    iterations: int,
    settings: Settings,
    restart: int = 0,
) -> Found:
    """The smallest changes of a family for `targets`, in as many batches as memory wants."""
    images = settings.images_of(len(classifier.labels))
    per = max(1, rows_at_once(classifier) // images)
    parts = []
    for first in range(0, len(targets), per):
        chosen = targets[first : first + per]
        names = [f"{classifier.labels[index]}/{restart}" for index in chosen]

        def draw(iteration: int, chosen: list[int] = chosen) -> Tensor:
            return backgrounds.draw(chosen, images, iteration + 1000 * restart)

        parts.append(smallest(classifier, family, names, torch.tensor(chosen), draw,
                              iterations=iterations, seed=settings.seed))  # fmt: skip
    return _joined(parts)


def paired(classifier: Classifier, backgrounds: Backgrounds, settings: Settings) -> Tensor:
    """Log size of the smallest patch that sends images of class s to class t, `(K, K)`, nan on the diagonal."""
    count, patch = len(classifier.labels), FAMILIES["patch"]
    pairs = [(source, target) for source, target in itertools.product(range(count), repeat=2) if source != target]
    per = max(1, rows_at_once(classifier) // settings.pair_images)
    sizes = torch.full((count, count), torch.nan)
    for first in range(0, len(pairs), per):
        sources, targets = (torch.tensor(side) for side in zip(*pairs[first : first + per], strict=True))
        names = [f"{classifier.labels[s]} > {classifier.labels[t]}" for s, t in pairs[first : first + per]]

        def draw(iteration: int, sources: Tensor = sources) -> Tensor:
            which = [(iteration + place) % backgrounds.images.shape[1] for place in range(settings.pair_images)]
            return backgrounds.images[sources][:, which]

        found = smallest(classifier, patch, names, targets, draw,
                         iterations=settings.pair_iterations, seed=settings.seed)  # fmt: skip
        sizes[sources, targets] = found.log_size
    return sizes


def prepared(classifier: Classifier) -> Classifier:
    """A private folded copy; small images go through it in larger batches, which are never filled up."""
    private = classifier.fold()
    size = LARGEST_BATCH if private.batch_size > FEW else private.batch_size
    return private.replace(pad_batches=False, batch_size=size)


def _held(classifier: Classifier, seed: int) -> list[int]:
    """Classes that serve as backgrounds: all, or some that their names decide on."""
    count = len(classifier.labels)
    if count <= SOURCES:
        return list(range(count))
    ranks = [float(torch.rand(1, generator=make_generator(seed, label, 0))) for label in classifier.labels]
    return sorted(sorted(range(count), key=lambda index: ranks[index])[:SOURCES])


def _confidence(backgrounds: Backgrounds, count: int) -> Tensor:
    values = torch.full((count,), torch.nan)
    values[list(backgrounds.held)] = backgrounds.confidence.mean(dim=1)
    return values


def _joined(parts: list[Found]) -> Found:
    tensors = tuple(torch.cat(several) for several in zip(*(part.parameters for part in parts), strict=True))
    return Found(parts[0].family, tensors, torch.cat([part.log_size for part in parts]),
                 torch.cat([part.flip_rate for part in parts]))  # fmt: skip
