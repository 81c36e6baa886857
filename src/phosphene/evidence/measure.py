"""What a measure of evidence is: all that evaluation, tables, report, command line and docs know of one.

One more measure is one file in `phosphene.evidence.measures` and one line in its `registry`; docs/add-a-measure.md
writes one.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

from torch import Tensor

from phosphene.evidence.case import Case
from phosphene.evidence.figure import Figure
from phosphene.evidence.run import Run
from phosphene.evidence.settings import Settings
from phosphene.evidence.table import Row, Table

Score = TypeVar("Score")
ReadScore = TypeVar("ReadScore", contravariant=True)  # a measure as its readers see it only takes scores
Summary = TypeVar("Summary")


@dataclass(frozen=True)
class RunInfo:
    """What a summary may need beside the scores: the names of the run's concepts, in the order of its maps, and the
    similarities of the maps of different ones, by kind of similarity."""

    concepts: tuple[str, ...]
    between: Mapping[str, Tensor]


class Measure(Protocol[ReadScore, Summary]):
    """A score of a map, its average over a run, and how both are shown. Implement `MapMeasure` or `RunMeasure`.

    Scores and summaries are frozen dataclasses, or dicts of them. They are stored as JSON, the score in the map's
    artifact and the summary in `evidence.json`, under `key`.
    """

    key: ClassVar[str]
    title: ClassVar[str]
    question: ClassVar[str]  # what it measures, as one question
    good: ClassVar[str]  # what a good value means, in one sentence
    bad: ClassVar[str]
    needs: ClassVar[tuple[str, ...]]  # the settings its score depends on, keys of `Run.settings_by_need`
    score_type: ClassVar[Any]
    summary_type: ClassVar[Any]
    summarizes_some: ClassVar[bool]  # whether an average over some of the maps is of use

    @abstractmethod
    def summarize(self, scores: Sequence[ReadScore], run: RunInfo) -> Summary:
        """The average of the scores, one a map, in the order of the run."""

    @abstractmethod
    def table(self, summary: Summary) -> Table:
        """The summary as a table."""

    def rows(self, score: ReadScore) -> Sequence[Row]:
        """The score of one map in rows of three: what it is, its value, and what to compare it with."""
        return ()

    def figure(self, summary: Summary) -> Figure | None:
        """What the report draws beside the table."""
        return None


@runtime_checkable
class MapMeasure(Measure[Score, Summary], Protocol[Score, Summary]):
    """A measure that takes one map after the other."""

    summarizes_some: ClassVar[bool] = False
    least_maps: ClassVar[int] = 1  # smaller runs have no such score
    needs_verifiers: ClassVar[bool] = False

    @abstractmethod
    def measure(self, case: Case) -> Score:
        """The score of one map. Raises `MeaninglessScore` where it comes to nothing."""


@runtime_checkable
class RunMeasure(Measure[Score, Summary], Protocol[Score, Summary]):
    """A measure that makes maps again, of all concepts of a run together; only where the settings ask for it."""

    summarizes_some: ClassVar[bool] = True

    @abstractmethod
    def is_wanted(self, settings: Settings) -> bool:
        """Whether the settings ask for it."""

    @abstractmethod
    def measure_run(self, run: Run, settings: Settings) -> Iterator[tuple[int, Score]]:
        """The index of a map in the run, and its score."""
