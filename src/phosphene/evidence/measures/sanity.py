"""Is the map gone when the model's layers are drawn anew?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from phosphene.evidence.estimates import PartnerTest, compare_partners, round_all
from phosphene.evidence.figure import RemadeMaps
from phosphene.evidence.likeness import (
    BetweenClasses,
    Likeness,
    between_row,
    likeness_cells,
    summarize_between,
    summarize_likeness,
)
from phosphene.evidence.measure import RunInfo, RunMeasure
from phosphene.evidence.randomization import STAGES, randomize_layers
from phosphene.evidence.run import Run
from phosphene.evidence.settings import Settings
from phosphene.evidence.similarity import SIMILARITIES
from phosphene.evidence.table import Cell, Row, Table, format_number, make_table, number_cell

STAGE_NAMES = {"head": "last layer", "top third": "top third", "top two thirds": "top two thirds"}
STAGE_NAMES |= {"untrained": "untrained"}

BySimilarity = Mapping[str, float]


@dataclass(frozen=True)
class SanityScore:
    """Similarity of the map to the map by each stage of the model, and of it to those of all concepts (`beside`).

    The maps made again lie under `made_in` in the run's folder, one folder a stage.
    """

    made_in: str
    stages: Mapping[str, BySimilarity]
    beside: Mapping[str, Mapping[str, tuple[float, ...]]] = field(default_factory=dict)


@dataclass(frozen=True)
class StageLikeness(Likeness):
    """`own_class` compares maps of one class by both models with maps of different classes by both; an AUC of 0.5
    says that nothing of the class is left. None where not all maps were made again together."""

    own_class: PartnerTest | None


@dataclass(frozen=True)
class SanitySummary:
    maps: int
    stages: Mapping[str, Mapping[str, StageLikeness]]
    between: Mapping[str, BetweenClasses]


@dataclass(frozen=True)
class Sanity(RunMeasure[SanityScore, SanitySummary]):
    """Similarity of the map to the maps by the model with more and more of its layers drawn anew (Adebayo et al. 2018).

    The first `settings.sanity` maps are made again at each stage.
    """

    key = "sanity"
    title = "Randomised models"
    question = "What is left of the map when its model's layers are drawn anew, from the output towards the image?"
    good = (
        "Similarity falls to that of different classes (separation 0.5 or less), and the map's own class is no more "
        "similar than others by the same randomised model (own class about 0.5): the map shows what was learned."
    )
    bad = "Similarity stays above it to the end: the map shows the architecture or the method, not the training."
    needs = ("feature_extractors",)
    score_type = SanityScore
    summary_type = SanitySummary

    def is_wanted(self, settings: Settings) -> bool:
        return settings.sanity > 0

    def measure_run(self, run: Run, settings: Settings) -> Iterator[tuple[int, SanityScore]]:
        count = min(settings.sanity, len(run.members))
        stages = {stage: _compare_stage(run, stage, count) for stage in STAGES}
        for index in range(count):
            beside = {stage: _round_rows(matrices, index) for stage, matrices in stages.items()}
            own = {stage: {kind: row[index] for kind, row in rows.items()} for stage, rows in beside.items()}
            yield index, SanityScore(run.work_dir, own, beside)

    def summarize(self, scores: Sequence[SanityScore], run: RunInfo) -> SanitySummary:
        stages = {
            stage: {kind: _summarize_stage(scores, stage, kind, run.between[kind]) for kind in SIMILARITIES}
            for stage in scores[0].stages
        }
        return SanitySummary(len(scores), stages, summarize_between(run))

    def table(self, summary: SanitySummary) -> Table:
        header = ["drawn anew"]
        for kind in SIMILARITIES:
            header += [kind, "separation", "own class"]
        rows = [_stage_row(words, summary.stages[stage]) for stage, words in STAGE_NAMES.items()]
        return make_table(header, [*rows, between_row(summary.between, columns=3)])

    def rows(self, score: SanityScore) -> Sequence[Row]:
        features = {words: score.stages[stage]["features"] for stage, words in STAGE_NAMES.items()}
        beside = ", ".join(f"{words} {format_number(value)}" for words, value in features.items())
        untrained = number_cell(score.stages["untrained"]["features"])
        return [("similarity to the untrained model's map", untrained, beside)]

    def figure(self, summary: SanitySummary) -> RemadeMaps:
        return RemadeMaps({words: folder_name(stage) for stage, words in STAGE_NAMES.items()})


def folder_name(stage: str) -> str:
    """Where the maps of a stage lie under `made_in`."""
    return stage.replace(" ", "-")


def _compare_stage(run: Run, stage: str, count: int) -> dict[str, Tensor]:
    """Similarities `(count, count)` of the first maps to those by the model at a stage, by kind."""
    # Started once: a random network sees nothing, and would get weaker views, which is another comparison.
    recipe = replace(run.recipe, restarts=1)
    randomized = randomize_layers(run.classifier, stage, recipe)
    remade = run.remake(folder_name(stage), randomized, run.members[:count], recipe)
    return {kind: matrix[:count] for kind, matrix in run.embeddings.compare(remade).items()}


def _round_rows(matrices: Mapping[str, Tensor], index: int) -> dict[str, tuple[float, ...]]:
    return {kind: tuple(round_all(matrix[index])) for kind, matrix in matrices.items()}


def _summarize_stage(scores: Sequence[SanityScore], stage: str, kind: str, between: Tensor) -> StageLikeness:
    own = [[score.stages[stage][kind]] for score in scores]
    likeness = summarize_likeness(f"similarity of {stage} {kind}", own, between)
    rows = [score.beside.get(stage, {}).get(kind, ()) for score in scores]
    complete = all(len(row) == len(scores) for row in rows)
    own_class = compare_partners(f"similarity of {kind} by {stage}", torch.tensor(rows)) if complete else None
    return StageLikeness(likeness.mean, likeness.pairs, likeness.separation, own_class)


def _stage_row(words: str, likenesses: Mapping[str, StageLikeness]) -> Row:
    cells = [(*likeness_cells(one), _partner_cell(one.own_class)) for one in map(likenesses.__getitem__, SIMILARITIES)]
    return [words, *(cell for group in cells for cell in group)]


def _partner_cell(test: PartnerTest | None) -> Cell:
    if test is None:
        return Cell("")
    text = f"{format_number(test.separation)}, p {format_number(test.chance)}"
    return Cell(text, value=test.separation)
