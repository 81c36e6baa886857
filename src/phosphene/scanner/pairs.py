"""How small a patch sends the images of one class to one other class: pairs of a suspect and some other classes."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

from phosphene.core.seeding import make_generator
from phosphene.model.classifier import Classifier
from phosphene.scanner.families import FAMILIES
from phosphene.scanner.model_size import ModelSize
from phosphene.scanner.search import minimize_size
from phosphene.scanner.settings import Settings
from phosphene.scanner.surrogates import Surrogates, render_surrogates

Pair = tuple[int, int]  # source, target


@dataclass(frozen=True)
class PairSizes:
    """Log size of the smallest patch from one class to another, `(n, n)`, rows are sources; the diagonal is nan, and so
    are rows of classes without surrogates. `classes` are their indices among the model's outputs."""

    classes: tuple[int, ...]
    log_size: Tensor


def search_pairs_around(
    classifier: Classifier, surrogates: Surrogates, target: int, settings: Settings
) -> PairSizes | None:
    """Pairs among one class and others that have surrogates, `settings.pair_classes` in all; None where pairs are not
    searched."""
    if not settings.pair_iterations:
        return None
    if target not in surrogates.classes:
        surrogates = surrogates.join(_render_like(classifier, surrogates, target, settings))
    others = [index for index in surrogates.classes if index != target]
    chosen = [others[place] for place in _draw_places(len(others), settings)]
    return _search_among(classifier, surrogates, tuple(sorted([target, *chosen])), settings)


def count_pairs_around(settings: Settings, size: ModelSize) -> int:
    """Ordered pairs that `search_pairs_around` searches."""
    classes = min(settings.pair_classes, size.background_classes + 1)
    return classes * (classes - 1) if settings.pair_iterations else 0


def _draw_places(count: int, settings: Settings) -> list[int]:
    generator = make_generator(settings.seed, "pairs around", 0)
    places: list[int] = torch.randperm(count, generator=generator)[: settings.pair_classes - 1].tolist()
    return places


def _render_like(classifier: Classifier, surrogates: Surrogates, target: int, settings: Settings) -> Surrogates:
    count, iterations = surrogates.images.shape[1], settings.surrogate_iterations
    return render_surrogates(classifier, [target], count=count, iterations=iterations, seed=settings.seed)


def _search_among(
    classifier: Classifier, surrogates: Surrogates, classes: tuple[int, ...], settings: Settings
) -> PairSizes:
    pairs = [pair for pair in itertools.permutations(classes, 2) if pair[0] in surrogates.classes]
    per_pass = max(1, ModelSize.of(classifier).images_per_pass // settings.pair_images)
    sizes = torch.full((len(classes), len(classes)), torch.nan)
    for first in range(0, len(pairs), per_pass):
        chosen = pairs[first : first + per_pass]
        sources, targets = (torch.tensor([classes.index(one) for one in side]) for side in zip(*chosen, strict=True))
        sizes[sources, targets] = _search_some(classifier, surrogates, chosen, settings)
    return PairSizes(classes, sizes)


def _search_some(classifier: Classifier, surrogates: Surrogates, pairs: list[Pair], settings: Settings) -> Tensor:
    sources = torch.tensor([surrogates.classes.index(source) for source, _ in pairs])
    names = [f"{classifier.labels[source]} > {classifier.labels[target]}" for source, target in pairs]

    def draw(iteration: int) -> Tensor:
        which = [(iteration + place) % surrogates.images.shape[1] for place in range(settings.pair_images)]
        return surrogates.images[sources][:, which]

    candidates = minimize_size(
        classifier,
        FAMILIES["patch"],
        names,
        [target for _, target in pairs],
        draw,
        iterations=settings.pair_iterations,
        seed=settings.seed,
    )
    return candidates.log_size
