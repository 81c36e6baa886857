"""How does the score react to a share of the map?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from phosphene.evidence.case import Case
from phosphene.evidence.estimates import Estimate, check_finite, estimate_mean, round_all
from phosphene.evidence.figure import Curves
from phosphene.evidence.measure import MapMeasure, RunInfo
from phosphene.evidence.table import Row, Table, format_number, make_table, number_cell

EPSILONS = (0.25, 0.5, 0.75, 1.0)  # shares of the map
DIRECTIONS = {"plus": "laid on", "minus": "its negative", "random": "a random map"}


@dataclass(frozen=True)
class GainScore:
    """Mean change of the concept's score by each share `epsilon` of the map, of its negative and of random maps."""

    epsilon: tuple[float, ...]
    plus: tuple[float, ...]
    minus: tuple[float, ...]
    random: tuple[float, ...]


@dataclass(frozen=True)
class GainSummary(GainScore):
    """Mean curves, and the gain of the whole map by direction."""

    full: Mapping[str, Estimate]


@dataclass(frozen=True)
class Gain(MapMeasure[GainScore, GainSummary]):
    """The mean of `s(x ⊕ ετm) − s(x)`, beside that of `−εm` and of random maps of equal norm."""

    key = "gain"
    title = "Gain of the logit"
    question = (
        "How does the concept's score move when a share of the map, of its negative or of a random map is laid on?"
    )
    good = "The map's curve climbs far above the other two; a random map of equal norm does nothing."
    bad = (
        "Curves that lie together: the score reacts to how strong a thing is laid on. Where the negative gains almost "
        "as much, the model knows the shapes in any polarity, and the sign of the map says little."
    )
    needs = ("samples",)
    score_type = GainScore
    summary_type = GainSummary

    def measure(self, case: Case) -> GainScore:
        saliency = case.saliency.map
        directions = {"plus": saliency, "minus": -saliency, "random": case.draw_random_maps(saliency)}
        curves = _measure_curves(case, directions)
        values = [value for curve in curves.values() for value in curve]
        check_finite("logit gain", [0.0, *values], varying=True)
        return GainScore(EPSILONS, **{name: tuple(round_all(curve)) for name, curve in curves.items()})

    def summarize(self, scores: Sequence[GainScore], run: RunInfo) -> GainSummary:
        curves = {name: [getattr(score, name) for score in scores] for name in DIRECTIONS}
        means = {
            name: tuple(round_all(check_finite(f"logit gain {name}", rows).mean(dim=0)))
            for name, rows in curves.items()
        }
        full = {name: estimate_mean(f"logit gain {name}", [row[-1] for row in rows]) for name, rows in curves.items()}
        return GainSummary(scores[0].epsilon, **means, full=full)

    def table(self, summary: GainSummary) -> Table:
        steps = [f"{epsilon:.0%}" for epsilon in summary.epsilon[:-1]]
        rows: list[Row] = [
            [words, *map(number_cell, getattr(summary, name)[:-1]), number_cell(summary.full[name])]
            for name, words in DIRECTIONS.items()
        ]
        return make_table(("share of the map", *steps, "100%"), rows)

    def rows(self, score: GainScore) -> Sequence[Row]:
        minus, random = format_number(score.minus[-1]), format_number(score.random[-1])
        return [("gain of the score", number_cell(score.plus[-1]), f"its negative {minus}, a random map {random}")]

    def figure(self, summary: GainSummary) -> Curves:
        lines = {words: getattr(summary, name) for name, words in DIRECTIONS.items()}
        return Curves("gain of the score over the share of the map", summary.epsilon, lines)


def _measure_curves(case: Case, directions: Mapping[str, Tensor]) -> dict[str, list[float]]:
    """Mean change of the score by each share of each map, all on the same draws."""
    draws = case.draw("gain")
    before = case.concept.score(case.compute_logits(draws, torch.zeros_like(case.saliency.map)))

    def gain(maps: Tensor) -> float:
        return (case.concept.score(case.compute_logits(draws, maps)) - before).mean().item()

    return {name: [gain(epsilon * maps) for epsilon in EPSILONS] for name, maps in directions.items()}
