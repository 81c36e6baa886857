"""Do other models recognise the picture?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from phosphene.evidence.case import Case
from phosphene.evidence.estimates import DIGITS, Estimate, check_finite, estimate_mean, estimate_rate
from phosphene.evidence.measure import MapMeasure, RunInfo
from phosphene.evidence.table import Row, Table, format_number, make_table, number_cell, share_cell
from phosphene.method.recognition import resize_pictures
from phosphene.model.classifier import Classifier
from phosphene.model.outputs import is_top, probability
from phosphene.recipe.concepts import Concept


@dataclass(frozen=True)
class VerifierOpinion:
    """What one verifier predicts for the bare picture."""

    model: str
    top1: bool
    top5: bool
    log_probability: float


@dataclass(frozen=True)
class RecognitionScore:
    opinions: tuple[VerifierOpinion, ...]


@dataclass(frozen=True)
class VerifierSummary:
    """Rates and mean log-probability of one verifier over the maps."""

    model: str
    top1: Estimate
    top5: Estimate
    log_probability: Estimate


@dataclass(frozen=True)
class RecognitionSummary:
    verifiers: tuple[VerifierSummary, ...]


@dataclass(frozen=True)
class Recognition(MapMeasure[RecognitionScore, RecognitionSummary]):
    """Top-1, top-5 and log-probability of the bare unrefined picture by each verifier. No verifier enters a map."""

    key = "recognition"
    title = "Recognition by other models"
    question = "Do models that had no part in a map predict its concept for the bare picture?"
    good = "Top-1 near 100% with a log-probability near 0: the picture shows features that other models share."
    bad = "Top-1 near 0%: the picture shows something private to its own model, however sure that one is."
    needs = ("verifiers",)
    needs_verifiers = True
    score_type = RecognitionScore
    summary_type = RecognitionSummary

    def measure(self, case: Case) -> RecognitionScore:
        picture = case.saliency.raw_picture[None]
        return RecognitionScore(tuple(_ask(verifier, case.concept, picture) for verifier in case.verifiers))

    def summarize(self, scores: Sequence[RecognitionScore], run: RunInfo) -> RecognitionSummary:
        by_model: dict[str, list[VerifierOpinion]] = {}
        for opinion in (opinion for score in scores for opinion in score.opinions):
            by_model.setdefault(opinion.model, []).append(opinion)
        return RecognitionSummary(tuple(_summarize(model, opinions) for model, opinions in by_model.items()))

    def table(self, summary: RecognitionSummary) -> Table:
        rows = [
            (one.model, share_cell(one.top1), share_cell(one.top5), number_cell(one.log_probability))
            for one in summary.verifiers
        ]
        return make_table(("verifier", "top-1", "top-5", "log-probability"), rows)

    def rows(self, score: RecognitionScore) -> Sequence[Row]:
        return [
            (
                f"recognised by {opinion.model}",
                "top-1" if opinion.top1 else "top-5" if opinion.top5 else "no",
                f"log-probability {format_number(opinion.log_probability)}",
            )
            for opinion in score.opinions
        ]


def _ask(verifier: Classifier, concept: Concept, picture: Tensor) -> VerifierOpinion:
    """The verifier's prediction for a picture `(1, C, H, W)`."""
    resized = resize_pictures(picture, verifier)
    with torch.no_grad():
        logits = verifier(torch.cat([resized, torch.full_like(resized, 0.5)]))
    difference = (logits[0] - logits[1]).abs().max().item()
    check_finite(f"what {verifier.name} predicts for the picture, beside mid-grey,", [0.0, difference], varying=True)
    logits = logits[:1]
    five = logits[0].topk(min(5, logits.shape[1])).indices.tolist()
    return VerifierOpinion(
        model=verifier.name,
        top1=bool(is_top(logits, concept, verifier.output_kind)),
        top5=bool(set(five) & set(concept.targets)),
        log_probability=round(probability(logits, concept, verifier.output_kind).clamp(min=1e-30).log().item(), DIGITS),
    )


def _summarize(model: str, opinions: Sequence[VerifierOpinion]) -> VerifierSummary:
    return VerifierSummary(
        model=model,
        top1=estimate_rate(f"top1 by {model}", [one.top1 for one in opinions]),
        top5=estimate_rate(f"top5 by {model}", [one.top5 for one in opinions]),
        log_probability=estimate_mean(f"log-probability by {model}", [one.log_probability for one in opinions]),
    )
