"""How small a change of a family sends the surrogates of other classes to each class; the median class's, too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from phosphene.scanner.context import Context, get_iterations
from phosphene.scanner.model_size import ModelSize
from phosphene.scanner.search import SETTINGS, images_per_candidate
from phosphene.scanner.settings import Settings
from phosphene.scanner.statistics.statistic import Column, Measured


@dataclass(frozen=True)
class Search:
    """A short search of one family for every class. The column of the classes is called as the family is."""

    family: str
    kinds: tuple[str, ...]
    fewest: int  # iterations below which it is no search: few parameters settle sooner
    telling: int  # iterations below which hardly any image of a network of many classes is turned
    means: str

    @property
    def key(self) -> str:
        return f"short {self.family}"

    @property
    def settings(self) -> tuple[str, ...]:
        return (*SETTINGS, f"{self.family}_iterations")

    @property
    def least(self) -> Mapping[str, int]:
        return {"images": 1, "images_many": 1, f"{self.family}_iterations": self.fewest}

    @property
    def columns(self) -> tuple[Column, ...]:
        size = "log size of the smallest change that leads to the median class"
        label = f"Median class, {self.family}"
        level = Column(f"level {self.family}", label, size, whole=True, level=True, family=self.family)
        return Column(self.family, self.family, self.means, self.kinds, family=self.family), level

    def cost(self, settings: Settings, size: ModelSize) -> int:
        iterations = get_iterations(settings, self.family)
        return images_per_candidate(settings, size.classes) * size.classes * iterations

    def measure(self, context: Context) -> Measured:
        candidates = context.candidates(self.family)
        if candidates is None:
            return Measured()
        easiness = candidates.easiness
        return Measured({self.family: easiness}, {f"level {self.family}": float(-easiness.median())})


SEARCHES = (
    Search(
        "patch",
        ("patch", "polygon"),
        3,
        40,
        "how small a patch sends images of other classes here, −log of its share of the area",
    ),
    Search(
        "additive",
        ("additive", "wave"),
        3,
        40,
        "how faint a pattern added to images does so, −log of its root mean square",
    ),
    Search("colour", ("colour",), 2, 30, "how slight a change of colours does so"),
    Search("warp", ("warp",), 2, 30, "how slight a distortion does so"),
)
TELLING = {f"{search.family}_iterations": search.telling for search in SEARCHES}
