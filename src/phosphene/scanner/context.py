"""What the statistics of one scan share, computed once at the first request."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from phosphene.core.cache import Cache
from phosphene.model.classifier import Classifier
from phosphene.scanner.families import FAMILIES
from phosphene.scanner.model_size import ModelSize
from phosphene.scanner.pairs import search_pairs
from phosphene.scanner.search import Candidates, search_classes
from phosphene.scanner.settings import Settings
from phosphene.scanner.surrogates import Surrogates, render_surrogates, sample_background_classes


@dataclass(frozen=True)
class Context:
    """A model under scan, the settings of the present stage, and what earlier stages computed.

    `dataclasses.replace(context, settings=…)` keeps the cache.
    """

    classifier: Classifier  # folded
    settings: Settings
    cache: Cache = field(default_factory=Cache)

    @property
    def size(self) -> ModelSize:
        return ModelSize.of(self.classifier)

    @property
    def surrogates(self) -> Surrogates:
        return self.cache.get("surrogates", self._render_surrogates)

    def candidates(self, family: str) -> Candidates | None:
        """One candidate a class; None of a family that the settings leave out."""
        return self.cache.get(("candidates", family), lambda: self._search(family))

    @property
    def pair_sizes(self) -> Tensor | None:
        """Log size of the smallest patch from class s (row) to class t (column); None where not searched."""
        return self.cache.get("pairs", lambda: search_pairs(self.classifier, self.surrogates, self.settings))

    def _render_surrogates(self) -> Surrogates:
        classes = sample_background_classes(self.classifier, self.settings.seed)
        count, iterations = self.settings.surrogates, self.settings.surrogate_iterations
        return render_surrogates(self.classifier, classes, count=count, iterations=iterations, seed=self.settings.seed)

    def _search(self, family: str) -> Candidates | None:
        iterations = get_iterations(self.settings, family)
        if not iterations:
            return None
        everyone = list(range(self.size.classes))
        return search_classes(self.classifier, FAMILIES[family], everyone, self.surrogates, iterations, self.settings)


def get_iterations(settings: Settings, family: str) -> int:
    """Iterations of the search of a family for every class."""
    iterations: int = getattr(settings, f"{family}_iterations")
    return iterations
