"""How small a patch sends the images of one class to one other class, for every pair."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from phosphene.model.classifier import Classifier
from phosphene.scanner.families import FAMILIES
from phosphene.scanner.model_size import ModelSize
from phosphene.scanner.search import minimize_size
from phosphene.scanner.settings import Settings
from phosphene.scanner.surrogates import Surrogates

Pair = tuple[int, int]  # source, target


def count_pairs(settings: Settings, size: ModelSize) -> int:
    """Ordered pairs that are searched: all of a model of few classes, else none."""
    searched = settings.pair_iterations and size.classes <= settings.pair_classes
    return size.classes * (size.classes - 1) if searched else 0


def search_pairs(classifier: Classifier, surrogates: Surrogates, settings: Settings) -> Tensor | None:
    """Log size of the smallest patch from class s (row) to class t (column), `(K, K)`.

    Nan on the diagonal, and in rows of classes without surrogates.

    None where pairs are not searched.
    """
    size = ModelSize.of(classifier)
    if not count_pairs(settings, size):
        return None
    pairs = [pair for pair in itertools.permutations(range(size.classes), 2) if pair[0] in surrogates.classes]
    per_pass = max(1, size.images_per_pass // settings.pair_images)
    sizes = torch.full((size.classes, size.classes), torch.nan)
    for first in range(0, len(pairs), per_pass):
        chosen = pairs[first : first + per_pass]
        sources, targets = (torch.tensor(side) for side in zip(*chosen, strict=True))
        sizes[sources, targets] = _search_some(classifier, surrogates, chosen, settings)
    return sizes


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
