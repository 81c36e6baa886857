"""What the statistics of one scan share, computed once at the first request."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from phosphene.core.cache import Cache
from phosphene.model.classifier import Classifier
from phosphene.scanner.families import FAMILIES
from phosphene.scanner.margins import maximize_margins
from phosphene.scanner.model_size import ModelSize
from phosphene.scanner.search import Candidates, search_classes
from phosphene.scanner.settings import Settings
from phosphene.scanner.surrogates import Surrogates, render_surrogates, sample_background_classes

CONVERGED = 30  # iterations of an ascent
FEWEST_LIVING = 3  # classes: of fewer none is called dead, for then nothing could be searched


@dataclass(frozen=True)
class Context:
    """A model under scan, the settings of the present stage, and what earlier stages computed.

    `dataclasses.replace(context, settings=…)` keeps the cache.
    """

    classifier: Classifier  # folded
    settings: Settings
    cache: Cache = field(default_factory=Cache)
    pictures: Tensor | None = None  # backgrounds in place of surrogates, those that `settings.backgrounds` names

    @property
    def size(self) -> ModelSize:
        return ModelSize.of(self.classifier)

    @property
    def surrogates(self) -> Surrogates:
        """Of the classes that some image is predicted as."""
        return self.cache.get("surrogates", self._render_surrogates)

    @property
    def margins(self) -> Tensor:
        """The largest margin that an image reaches, one a class."""
        return self.cache.get("margins", self._maximize_margins)

    @property
    def dead_classes(self) -> tuple[int, ...]:
        """Classes that no image was predicted as, neither by the ascent of margins nor by that of surrogates.

        A row of the last layer that was never trained is the usual reason. Such a class has no images to start from.
        """
        sampled = sample_background_classes(self.classifier, self.settings.seed)
        return tuple(index for index in sampled if index not in self.surrogates.classes)

    def candidates(self, family: str) -> Candidates | None:
        """One candidate a class; None of a family that the settings leave out."""
        return self.cache.get(("candidates", family), lambda: self._search(family))

    def _render_surrogates(self) -> Surrogates:
        classes = sample_background_classes(self.classifier, self.settings.seed)
        count, iterations = self.settings.surrogates, self.settings.surrogate_iterations
        made = render_surrogates(self.classifier, classes, count=count, iterations=iterations, seed=self.settings.seed)
        if self.pictures is not None:
            with torch.no_grad():
                log_probability = self.classifier(self.pictures).log_softmax(dim=-1)
            made = made.replace_by(self.pictures, log_probability)
        doubtful = made.find_doubtful() if self._is_deep else []
        dead = [place for place in doubtful if self.margins[made.classes[place]] < 0]
        living = [place for place in range(len(classes)) if place not in dead]
        return made.select(living) if dead and len(living) >= FEWEST_LIVING else made

    @property
    def _is_deep(self) -> bool:
        """Are both ascents long enough for a class that they do not reach to be called dead?"""
        settings = self.settings
        return min(settings.margin_iterations, settings.surrogate_iterations) >= CONVERGED

    def _maximize_margins(self) -> Tensor:
        settings = self.settings
        return maximize_margins(self.classifier, settings.margin_starts, settings.margin_iterations, settings.seed)

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
