"""The tables of study 2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from phosphene.studies.bias.cases import (
    SHOWS,
    TITLES,
    estimate_misled_separation,
    estimate_separation,
    format_shown,
    list_heat,
    select_kind,
)
from phosphene.studies.bias.experiment import KINDS, SETS
from phosphene.studies.bias.explanations import NAMES
from phosphene.studies.estimates import estimate_mean
from phosphene.studies.folder import Part, Table
from phosphene.studies.words import format_percent

RATES = {
    "called the class, without the watermark": "own_clean",
    "with it": "own_marked",
    "other classes’ images called so with it": "fooled_by_mark",
    "accuracy on clean images": "accuracy",
}


def build_tables(parts: Sequence[Part]) -> list[Table]:
    """Which explanations show the watermark, how strongly, and the models."""
    return [
        Table(
            "Who shows it, who invents it",
            f"Models of which the explanation shows the watermark: at least {SHOWS:g} times as much heat in its region as spread evenly; "
            "with Wilson intervals. For models that use it that is right, for models that ignore it an invention. AUC: how well the heat "
            "there separates the two kinds, whatever the threshold, with Newcombe’s 95% interval; the same set for both kinds, or the one "
            "that misleads (clean for users, watermarked for the others).",
            [_list_rates(parts, name) for name in NAMES],
        ),
        Table(
            "Heat in the watermark’s region",
            "As a multiple of the region’s share of the image, mean over the models with 95% intervals.",
            [_list_multiples(parts, name) for name in NAMES],
        ),
        Table(
            "The models",
            "Trained alike but for the watermark on their class; images are held out, means over the models with 95% intervals.",
            [_describe_models(parts, kind) for kind in KINDS],
        ),
    ]


def _list_rates(parts: Sequence[Part], name: str) -> dict[str, Any]:
    users, others = (select_kind(parts, kind) for kind in KINDS)
    return {
        "explanation": name,
        **{f"shows it, {one} set": format_shown(users, name, one) for one in SETS},
        **{f"invents it, {one} set": format_shown(others, name, one) for one in SETS},
        **{f"AUC, {one} set": str(estimate_separation(parts, name, one, one)) for one in SETS},
        "AUC, misleading sets": str(estimate_misled_separation(parts, name)),
    }


def _list_multiples(parts: Sequence[Part], name: str) -> dict[str, Any]:
    row = {"explanation": name}
    for kind in KINDS:
        for one in SETS:
            row[f"{TITLES[kind]}, {one} set"] = str(estimate_mean(list_heat(select_kind(parts, kind), name, one)))
    return row


def _describe_models(parts: Sequence[Part], kind: str) -> dict[str, Any]:
    models = select_kind(parts, kind)
    rates = {title: estimate_mean([part.numbers[key] for part in models]) for title, key in RATES.items()}
    return {
        "model": TITLES[kind],
        "models": len(models),
        **{title: format_percent(rate) for title, rate in rates.items()},
    }
