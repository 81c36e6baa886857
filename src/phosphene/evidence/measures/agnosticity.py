"""Does the map work whatever it is laid on?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from phosphene.evidence.case import Case
from phosphene.evidence.estimates import DIGITS, Estimate, check_finite, estimate_rate
from phosphene.evidence.measure import MapMeasure, RunInfo
from phosphene.evidence.stamping import make_stamp
from phosphene.evidence.table import Cell, Row, Table, format_share, make_table, share_cell
from phosphene.method.fidelity import UNSEEN
from phosphene.model.outputs import is_top
from phosphene.recipe.distributions import Distribution, Gaussian

NOISE: dict[str, Distribution] = {**UNSEEN, "gaussian": Gaussian()}
PHOTOGRAPHS = "photographs"
STAMPS = {"map": "the map", "random": "a random map", "other": "another class's map", "nothing": "nothing"}
GROUNDS = {
    "flat": "flat colours",
    "gaussian": "Gaussian noise",
    "uniform": "uniform noise",
    "pink": "1/f noise",
    PHOTOGRAPHS: "photographs",
}


@dataclass(frozen=True)
class AgnosticityScore:
    """Top-1 rates by ground and by what is laid on it, a key of `STAMPS`; `other` names the other map's concept."""

    other: str | None
    rates: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class AgnosticitySummary:
    rates: Mapping[str, Mapping[str, Estimate]]


@dataclass(frozen=True)
class Agnosticity(MapMeasure[AgnosticityScore, AgnosticitySummary]):
    """Top-1 rate of the map, at display contrast, on distributions it was not estimated on and on photographs.

    Beside it, on the same samples: a random map of equal norm, the map of another class and, on photographs, no map.
    """

    key = "agnosticity"
    title = "Independence of the input"
    question = "Does the map make its concept the top-1 prediction on samples that it was not estimated on?"
    good = (
        "The map wins on every ground while a random map of equal norm and another class's map win on none: the "
        "concept is in the map, not in the sample."
    )
    bad = "The map wins no more often than its controls, or on quiet grounds only: it needs the samples it was made on."
    needs = ("samples", "photographs", "maps")
    score_type = AgnosticityScore
    summary_type = AgnosticitySummary

    def measure(self, case: Case) -> AgnosticityScore:
        stamps = _make_stamps(case)
        rates = {
            ground: {name: _measure_top1(case, ground, distribution, stamp) for name, stamp in stamps.items()}
            for ground, distribution in _choose_grounds(case).items()
        }
        if case.photographs is not None:
            nothing = torch.zeros_like(case.saliency.map)
            rates[PHOTOGRAPHS]["nothing"] = _measure_top1(case, PHOTOGRAPHS, case.photographs, nothing)
        return AgnosticityScore(case.other.concept if case.other else None, rates)

    def summarize(self, scores: Sequence[AgnosticityScore], run: RunInfo) -> AgnosticitySummary:
        first = scores[0].rates
        grounds = [ground for ground in first if all(ground in score.rates for score in scores)]
        return AgnosticitySummary({ground: _summarize(ground, scores) for ground in grounds})

    def table(self, summary: AgnosticitySummary) -> Table:
        rates = summary.rates
        stamps = [name for name in STAMPS if any(name in row for row in rates.values())]
        rows: list[Row] = [
            [words, *(share_cell(rates[ground][name]) if name in rates[ground] else Cell("") for name in stamps)]
            for ground, words in GROUNDS.items()
            if ground in rates
        ]
        return make_table(("top-1 on", *(STAMPS[name] for name in stamps)), rows)

    def rows(self, score: AgnosticityScore) -> Sequence[Row]:
        """Noise of all kinds in one row, photographs in another."""
        noise = [rates for ground, rates in score.rates.items() if ground != PHOTOGRAPHS]
        mean = {name: sum(rates[name] for rates in noise) / len(noise) for name in noise[0]}
        rows = [("top-1 on unseen noise", share_cell(mean["map"]), _describe_controls(mean, score.other))]
        if photographs := score.rates.get(PHOTOGRAPHS):
            beside = _describe_controls(photographs, score.other)
            rows.append(("top-1 on photographs", share_cell(photographs["map"]), beside))
        return rows


def _choose_grounds(case: Case) -> dict[str, Distribution]:
    """The distributions to lay the map on: all but its own."""
    grounds = {name: distribution for name, distribution in NOISE.items() if distribution != case.recipe.distribution}
    return grounds | ({PHOTOGRAPHS: case.photographs} if case.photographs is not None else {})


def _make_stamps(case: Case) -> dict[str, Tensor]:
    stamp = make_stamp(case.saliency)
    stamps = {"map": stamp, "random": case.draw_random_maps(stamp)}
    return stamps | ({"other": make_stamp(case.other)} if case.other is not None else {})


def _measure_top1(case: Case, ground: str, distribution: Distribution, maps: Tensor) -> float:
    draws = case.draw(f"agnosticity/{ground}", distribution)
    logits = check_finite(f"what the model predicts on {ground}", case.compute_logits(draws, maps), varying=True)
    return round(is_top(logits, case.concept, case.classifier.output_kind).mean().item(), DIGITS)


def _summarize(ground: str, scores: Sequence[AgnosticityScore]) -> dict[str, Estimate]:
    """Rates of the map and of each control that every map has."""
    rows = [score.rates[ground] for score in scores]
    stamps = [name for name in rows[0] if all(name in row for row in rows)]
    return {name: estimate_rate(f"top-1 on {ground} of {name}", [row[name] for row in rows]) for name in stamps}


def _describe_controls(rates: Mapping[str, float], other: str | None) -> str:
    words = {**STAMPS, "other": f"the map of {other}"}
    controls = [name for name in STAMPS if name in rates and name != "map"]
    return ", ".join(f"{words[name]} {format_share(rates[name])}" for name in controls)
