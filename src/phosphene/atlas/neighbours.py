"""Which classes the map of a class raises besides its own: entanglement over a whole atlas, from a few draws a map."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from phosphene.atlas.record import Neighbour
from phosphene.core.seeding import make_generator
from phosphene.evidence.stamping import center_logits
from phosphene.model.classifier import Classifier
from phosphene.recipe.compositions import COMPOSITIONS
from phosphene.recipe.draws import draw, overlay
from phosphene.recipe.recipe import Recipe

DRAWS = 4  # the same for every map, so that rows differ by the map alone
NEAREST = 8


class RiseMeter:
    """Measures how far a map raises every output, in centred logits, on draws that are the same for all maps."""

    def __init__(self, classifier: Classifier, recipe: Recipe) -> None:
        self.classifier, self.compose = classifier, COMPOSITIONS[recipe.composition]
        generators = [make_generator(recipe.seed, "evidence/entanglement", 0)]
        self.draws = draw(recipe.distribution, recipe.views, generators, DRAWS, classifier.image_shape)
        self.before = self._read(torch.zeros(classifier.image_shape))

    def measure(self, saliency: Tensor) -> Tensor:
        """The rise of every output `(K,)` by a map `(C, H, W)`."""
        return self._read(saliency) - self.before

    def _read(self, saliency: Tensor) -> Tensor:
        with torch.no_grad():
            return center_logits(self.classifier(overlay(self.draws, saliency[None], self.compose))).mean(dim=0)


def find_neighbours(rises: Tensor, names: Sequence[str]) -> list[tuple[Neighbour, ...]]:
    """The nearest classes of each map, by the rise `(maps, classes)` of each class over what its own map gives it.

    Classes that their own map does not raise are nobody's neighbours: there is no share of such a rise.
    """
    own = rises.diagonal()
    shares = torch.where(own > 0, rises / own, -torch.inf).fill_diagonal_(-torch.inf)
    count = min(NEAREST, len(names) - 1)
    values, places = shares.topk(count, dim=1)
    rows = zip(values.tolist(), places.tolist(), strict=True)
    return [
        tuple(Neighbour(names[k], round(share, 4)) for share, k in zip(*row, strict=True) if share > 0) for row in rows
    ]
