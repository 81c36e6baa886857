"""What does refinement cost?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from phosphene.evidence.case import Case
from phosphene.evidence.estimates import DIGITS, SHARE, Estimate, check_finite, estimate_mean, estimate_rate
from phosphene.evidence.measure import MapMeasure, RunInfo
from phosphene.evidence.table import Row, Table, format_share, make_table, share_cell
from phosphene.method.fidelity import Fidelity, measure_fidelities

FIDELITIES = {"probability": "fidelity: probability", "top1": "fidelity: top-1"}


@dataclass(frozen=True)
class RefinementScore:
    """Fidelity before and after the mask; `inside` is the share of the importance, `area` that of the area, in the
    mask."""

    before: Fidelity
    after: Fidelity
    inside: float
    area: float


@dataclass(frozen=True)
class FidelitySummary:
    probability: Estimate
    top1: Estimate


@dataclass(frozen=True)
class RefinementSummary:
    before: FidelitySummary
    after: FidelitySummary
    inside: Estimate
    area: Estimate


@dataclass(frozen=True)
class Refinement(MapMeasure[RefinementScore, RefinementSummary]):
    """Fidelity without and with the mask, on draws that the mask was not chosen on, and what the mask keeps."""

    key = "refinement"
    title = "What refinement costs"
    question = "On draws that the mask was not chosen on: does the masked map keep the fidelity of the whole one?"
    good = "Fidelity after is that before, and the mask keeps more of the evidence than of the area."
    bad = "Fidelity falls, or the mask keeps no more evidence than area: the refined picture leaves out what counts."
    needs = ("samples",)
    score_type = RefinementScore
    summary_type = RefinementSummary

    def measure(self, case: Case) -> RefinementScore:
        saliency = case.saliency
        check_finite("the map", saliency.map)
        before, after = _measure_both(case)
        check_finite("fidelity of refinement", [before.probability, before.top1, after.probability, after.top1])
        inside = (saliency.importance * saliency.mask).sum() / saliency.importance.sum()
        check_finite("evidence inside the mask", inside[None])
        area = saliency.mask.mean()
        return RefinementScore(before, after, round(inside.item(), DIGITS), round(area.item(), DIGITS))

    def summarize(self, scores: Sequence[RefinementScore], run: RunInfo) -> RefinementSummary:
        return RefinementSummary(
            before=_summarize("before", [score.before for score in scores]),
            after=_summarize("after", [score.after for score in scores]),
            inside=estimate_mean("inside", [score.inside for score in scores], SHARE),
            area=estimate_mean("area", [score.area for score in scores], SHARE),
        )

    def table(self, summary: RefinementSummary) -> Table:
        fidelities = [
            (words, share_cell(getattr(summary.before, name)), share_cell(getattr(summary.after, name)))
            for name, words in FIDELITIES.items()
        ]
        kept = [
            ("share of the evidence", "100%", share_cell(summary.inside)),
            ("share of the area", "100%", share_cell(summary.area)),
        ]
        return make_table(("", "whole map", "masked map"), [*fidelities, *kept])

    def rows(self, score: RefinementScore) -> Sequence[Row]:
        before, after = (format_share(fidelity.probability) for fidelity in (score.before, score.after))
        beside = f"{format_share(score.area)} of the area; fidelity {before} whole, {after} masked"
        return [("evidence inside the mask", share_cell(score.inside), beside)]


def _measure_both(case: Case) -> list[Fidelity]:
    """Fidelity of the whole and of the masked map, on draws of another seed than those the mask was chosen on."""
    saliency = case.saliency
    maps = torch.stack([saliency.map, saliency.mask * saliency.map])
    recipe = replace(case.recipe, seed=case.recipe.seed + 1)
    return measure_fidelities(case.classifier, case.concept, maps, recipe, samples=case.samples)


def _summarize(when: str, fidelities: Sequence[Fidelity]) -> FidelitySummary:
    return FidelitySummary(
        probability=estimate_mean(f"fidelity {when}", [one.probability for one in fidelities], SHARE),
        top1=estimate_rate(f"top-1 {when}", [one.top1 for one in fidelities]),
    )
