"""The tables of study 2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from phosphene.studies.bias.cases import SHOWS, TITLES, misled, of_kind, shown_by, told_apart, values
from phosphene.studies.bias.experiment import KINDS, SETS
from phosphene.studies.bias.explanations import NAMES
from phosphene.studies.folder import Part, Table
from phosphene.studies.measures import estimated
from phosphene.studies.words import percent

CALLED = {
    "called the class, without the watermark": "own_clean", "with it": "own_marked",
    "other classes’ images called so with it": "fooled_by_mark", "accuracy on clean images": "accuracy",
}  # fmt: skip


def tables(parts: Sequence[Part]) -> list[Table]:
    """On who shows it, on how much, and on the models."""
    return [
        Table("Who shows it, who invents it", f"Models of which the explanation shows the watermark: at least {SHOWS:g} times as "
              "much heat in its region as spread evenly; with Wilson intervals. Of models that use it that is right, of "
              "models that ignore it an invention. AUC: how well the heat there tells the two kinds apart, whatever the "
              "threshold, with Newcombe’s 95% interval; the same set for both kinds, or the one that misleads (clean for "
              "users, watermarked for the others).", [_rates(parts, name) for name in NAMES]),
        Table("Heat in the watermark’s region", "As a multiple of the region’s share of the image, mean over the models with "
              "95% intervals.", [_multiples(parts, name) for name in NAMES]),
        Table("The models", "Trained alike but for the watermark on their class; images are held out, means over the models "
              "with 95% intervals.", [_models(parts, kind) for kind in KINDS]),
    ]  # fmt: skip


def _rates(parts: Sequence[Part], name: str) -> dict[str, Any]:
    used, ignored = (of_kind(parts, kind) for kind in KINDS)
    return {"explanation": name,
            **{f"shows it, {held} set": shown_by(used, name, held) for held in SETS},
            **{f"invents it, {held} set": shown_by(ignored, name, held) for held in SETS},
            **{f"AUC, {held} set": str(told_apart(parts, name, held, held)) for held in SETS},
            "AUC, misleading sets": str(misled(parts, name))}  # fmt: skip


def _multiples(parts: Sequence[Part], name: str) -> dict[str, Any]:
    return {"explanation": name,
            **{f"{TITLES[kind]}, {held} set": str(estimated(values(of_kind(parts, kind), name, held)))
               for kind in KINDS for held in SETS}}  # fmt: skip


def _models(parts: Sequence[Part], kind: str) -> dict[str, Any]:
    chosen = of_kind(parts, kind)
    return {"model": TITLES[kind], "models": len(chosen),
            **{title: percent(estimated([part.numbers[key] for part in chosen])) for title, key in CALLED.items()}}  # fmt: skip
