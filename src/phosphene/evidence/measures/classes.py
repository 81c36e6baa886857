"""Are maps of other classes different?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from phosphene.evidence.case import Case
from phosphene.evidence.estimates import COSINE, DIGITS, Estimate, check_finite, estimate_mean
from phosphene.evidence.measure import MapMeasure, RunInfo
from phosphene.evidence.similarity import SIMILARITIES
from phosphene.evidence.table import Row, Table, format_number, make_table, number_cell


@dataclass(frozen=True)
class SimilarityToOthers:
    """Mean and largest similarity to the maps of other classes, and whose map is the most similar."""

    mean: float
    most: float
    whose: str


@dataclass(frozen=True)
class OtherClassesScore:
    features: SimilarityToOthers
    spectrum: SimilarityToOthers


@dataclass(frozen=True)
class OtherClasses(MapMeasure[OtherClassesScore, dict[str, Estimate]]):
    """Class randomisation: similarity of the map to the maps of all other classes of the run."""

    key = "classes"
    title = "Other classes"
    question = "How similar are the maps of different classes, in features and in their spectra?"
    good = "Clearly below the similarity of seeds of one class: another class gives another map."
    bad = "Near 1: the maps differ by name only."
    needs = ("maps", "feature_extractors")
    least_maps = 2
    score_type = OtherClassesScore
    summary_type = dict[str, Estimate]

    def measure(self, case: Case) -> OtherClassesScore:
        return OtherClassesScore(**{kind: _compare(case, kind, case.similarities[kind]) for kind in SIMILARITIES})

    def summarize(self, scores: Sequence[OtherClassesScore], run: RunInfo) -> dict[str, Estimate]:
        means = {kind: [getattr(score, kind).mean for score in scores] for kind in SIMILARITIES}
        return {kind: estimate_mean(f"similarity of {kind}", values, COSINE) for kind, values in means.items()}

    def table(self, summary: dict[str, Estimate]) -> Table:
        cells = [number_cell(summary[kind]) for kind in SIMILARITIES]
        return make_table(("similarity", *SIMILARITIES), [("maps of different classes", *cells)])

    def rows(self, score: OtherClassesScore) -> Sequence[Row]:
        features = score.features
        beside = f"most to {features.whose}, {format_number(features.most)}"
        return [("similarity to other classes", number_cell(features.mean), beside)]


def _compare(case: Case, kind: str, similarities: Tensor) -> SimilarityToOthers:
    others = [index for index in range(len(case.concepts)) if index != case.index]
    values = check_finite(f"similarity of {kind} to other classes", similarities[others])
    closest = others[int(values.argmax())]
    mean, most = (round(value.item(), DIGITS) for value in (values.mean(), values.max()))
    return SimilarityToOthers(mean, most, case.concepts[closest].name)
