"""Do other seeds give the same map?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import torch

from phosphene.evidence.estimates import round_all
from phosphene.evidence.likeness import (
    BetweenClasses,
    Likeness,
    between_row,
    likeness_cells,
    summarize_between,
    summarize_likeness,
)
from phosphene.evidence.measure import RunInfo, RunMeasure
from phosphene.evidence.run import Run
from phosphene.evidence.settings import Settings
from phosphene.evidence.similarity import SIMILARITIES, Embeddings
from phosphene.evidence.table import Row, Table, make_table, number_cell


@dataclass(frozen=True)
class StabilityScore:
    """`same` has the similarity of each pair of the map's seeds, by kind of similarity; `seeds` counts the others."""

    seeds: int
    same: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class StabilitySummary:
    """Similarity of seeds of one class; `seeds` counts all, the map's own among them."""

    maps: int
    seeds: int
    between: Mapping[str, BetweenClasses]
    features: Likeness
    spectrum: Likeness


@dataclass(frozen=True)
class Stability(RunMeasure[StabilityScore, StabilitySummary]):
    """Similarity of each map to its maps from `settings.seeds` other seeds, and of those to each other."""

    key = "stability"
    title = "Stability over seeds"
    question = "Are maps of one class from independent seeds more similar than maps of different classes?"
    good = "A separation near 1: nearly every pair of seeds is more similar than nearly every pair of classes."
    bad = "A separation near 0.5: what the map shows is the accident of its seed."
    needs = ("feature_extractors",)
    score_type = StabilityScore
    summary_type = StabilitySummary

    def is_wanted(self, settings: Settings) -> bool:
        return settings.seeds > 0

    def measure_run(self, run: Run, settings: Settings) -> Iterator[tuple[int, StabilityScore]]:
        seeds = [run.recipe.seed + 1 + offset for offset in range(settings.seeds)]
        embeddings = [run.embeddings, *(_remake(run, seed) for seed in seeds)]
        pairs = [one.compare(other) for one, other in combinations(embeddings, 2)]
        for index in range(len(run.members)):
            same = {
                kind: tuple(round_all(torch.stack([matrices[kind][index, index] for matrices in pairs])))
                for kind in SIMILARITIES
            }
            yield index, StabilityScore(settings.seeds, same)

    def summarize(self, scores: Sequence[StabilityScore], run: RunInfo) -> StabilitySummary:
        likeness = {
            kind: summarize_likeness(
                f"similarity of seeds {kind}", [score.same[kind] for score in scores], run.between[kind]
            )
            for kind in SIMILARITIES
        }
        seeds = 1 + min(score.seeds for score in scores)
        return StabilitySummary(len(scores), seeds, summarize_between(run), **likeness)

    def table(self, summary: StabilitySummary) -> Table:
        header = ["pairs"]
        for kind in SIMILARITIES:
            header += [kind, "separation"]
        seeds = [cell for kind in SIMILARITIES for cell in likeness_cells(getattr(summary, kind))]
        return make_table(header, [("seeds of one class", *seeds), between_row(summary.between, columns=2)])

    def rows(self, score: StabilityScore) -> Sequence[Row]:
        same = score.same["features"]
        mean = number_cell(sum(same) / len(same))
        return [("similarity to its other seeds", mean, f"{1 + score.seeds} seeds")]


def _remake(run: Run, seed: int) -> Embeddings:
    return run.remake(f"seed-{seed}", run.classifier, run.members, replace(run.recipe, seed=seed))
