"""The tables of study 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from phosphene.studies.estimates import estimate_effect_size, estimate_mean
from phosphene.studies.folder import Part, Table
from phosphene.studies.mislead.cases import (
    ALL,
    Pair,
    estimate_over_photographs,
    list_agnostic,
    list_class_correlations,
    list_excess,
    list_fooled,
    list_outlined,
    list_photographs,
    list_shares,
    list_shift_correlations,
)
from phosphene.studies.mislead.experiment import Results, Settings
from phosphene.studies.words import AGNOSTIC, format_hits, shorten_model

SHARES = {"A, clean": "own_inside", "B, clean": "clean_inside", "B, stamped": "inside"}
YARDSTICKS = {"energy": "cause_inside", "effect": "effect_inside"}


def build_tables(results: Sequence[Results], settings: Settings) -> list[Table]:
    """Heat on the object (where one is known), rank correlations, stamps and photographs."""
    known = [build_object_table(results, settings)] if list_outlined(results) else []
    return [*known, build_rank_table(results, settings), build_stamp_table(results), build_photograph_table(results)]


def build_object_table(results: Sequence[Results], settings: Settings) -> Table:
    rows: list[dict[str, Any]] = []
    for result in results:
        names = [*settings.methods, ALL, AGNOSTIC]
        rows += _list_object_rows(shorten_model(result.model), list_outlined([result]), names)
    if len(results) > 1:
        rows += _list_object_rows("all models", list_outlined(results), [ALL, AGNOSTIC])
    return Table(
        "On the object of A",
        "Mean shares of the heat inside the outline of A’s object, over the pairs where the stamp worked: for A and for B on the clean "
        "photograph, and for B on the stamped one. From before: the share for B after the stamp, minus that for A before it. Energy: the "
        "stamp’s own share there; effect: the share of B’s gain that the stamp’s half inside the object causes. Over each the excess of the "
        "heat, with 95% intervals that resample whole photographs, and d, Cohen’s effect size of that paired difference.",
        rows,
    )


def _list_object_rows(model: str, pairs: Sequence[Pair], names: Sequence[str]) -> list[dict[str, Any]]:
    if not pairs:
        return []
    return [
        {
            "model": model,
            "method": name,
            "pairs": len(pairs),
            **_format_shares(pairs, name),
            **_format_excess(pairs, name),
        }
        for name in names
    ]


def _format_shares(pairs: Sequence[Pair], name: str) -> dict[str, str]:
    """Shares on the object; an input-agnostic map has only one."""
    keys = {"inside"} if name == AGNOSTIC else set(SHARES.values())
    return {
        title: f"{estimate_mean(list_shares(pairs, name, key)).mean:.0%}" if key in keys else "–"
        for title, key in SHARES.items()
    }


def _format_excess(pairs: Sequence[Pair], name: str) -> dict[str, str]:
    """Excess over the heat before the stamp, and over the two shares of the cause."""
    clusters, cells = list_photographs(pairs), {"from before": "–"}
    if name != AGNOSTIC:
        cells["from before"] = str(estimate_mean(list_excess(pairs, name, "own_inside"), clusters))
    for title, key in YARDSTICKS.items():
        excess = list_excess(pairs, name, key)
        cells |= {
            title: f"{estimate_mean([pair[key] for pair in pairs]).mean:.0%}",
            f"over {title}": str(estimate_mean(excess, clusters)),
            f"d over {title}": str(estimate_effect_size(excess, clusters)),
        }
    return cells


def build_rank_table(results: Sequence[Results], settings: Settings) -> Table:
    return Table(
        "Asked for another class, and after a constant shift",
        "Rank correlations on a 14 × 14 grid. Classes: between two absent classes on one photograph. Stamp: of the heat for B with the "
        "stamp’s energy. Before: of the heat for B after the stamp with that before it. Shift: before and after the constant. For the maps, "
        "whose objects are elsewhere with every seed, also the similarity of the pictures to another model (cosine of features).",
        [row for result in results for row in _list_rank_rows(result, settings)],
    )


def _list_rank_rows(result: Results, settings: Settings) -> list[dict[str, Any]]:
    pairs, model = list_fooled([result]), shorten_model(result.model)
    rows: list[dict[str, Any]] = [
        {
            "model": model,
            "method": name,
            "classes": str(estimate_mean(list_class_correlations(result, name))),
            "stamp": str(estimate_over_photographs(pairs, name, "follows_stamp")),
            "before": str(estimate_over_photographs(pairs, name, "unmoved")),
            "shift": str(estimate_mean(list_shift_correlations(result, name))),
        }
        for name in settings.methods
    ]
    return [*rows, *({"model": model, **row} for row in _list_agnostic_rows(result))]


def _list_agnostic_rows(result: Results) -> list[dict[str, Any]]:
    """The input-agnostic maps, by importance and by picture."""
    keys = ("classes", "shift", "alike classes", "alike seeds", "alike shift")
    numbers = {key: str(estimate_mean(list_agnostic([result], key))) for key in keys}
    recognized = format_recognized(result, "shifted_called")
    return [
        {
            "method": AGNOSTIC,
            "classes": numbers["classes"],
            "stamp": "–",
            "before": "1 (no input)",
            "shift": numbers["shift"],
        },
        {
            "method": "its pictures",
            "classes": f"{numbers['alike classes']}; two seeds {numbers['alike seeds']}",
            "stamp": "–",
            "before": "–",
            "shift": f"{numbers['alike shift']}; {recognized} still predicted as B",
        },
    ]


def format_recognized(result: Results, key: str) -> str:
    top1 = result.maps.numbers[key]
    return f"{sum(top1):.0f} of {len(top1)}"


def build_stamp_table(results: Sequence[Results]) -> Table:
    return Table(
        "How small may a stamp be",
        "Pairs of photograph and class for which the prediction becomes the class, by the kind of stamp and its strength: its root mean "
        "square in 1/255 before it is clipped to the range of a pixel, and the mean peak signal-to-noise ratio of the stamped photographs. "
        "Only a stamp that is estimated on the photographs themselves is effective while it is invisible; an input-agnostic map is too, but "
        "only where it is visible.",
        [_describe_stamp(result.model, row) for result in results for row in result.reach],
    )


def _describe_stamp(model: str, row: dict[str, Any]) -> dict[str, Any]:
    return {
        "model": shorten_model(model),
        "stamp": row["made"],
        "strength": f"{row['strength']:g}",
        "PSNR": f"{row['psnr']:.1f} dB",
        "turned": format_hits([True] * row["turned"] + [False] * (row["of"] - row["turned"])),
    }


def build_photograph_table(results: Sequence[Results]) -> Table:
    return Table(
        "The photographs",
        "The share of the image that the outline covers; what the model predicts for the clean photograph, with its probability; for how many "
        "of the classes B the stamps changed the prediction; the largest change of any value of a pixel.",
        [_describe_photograph(result.model, part) for result in results for part in result.photographs],
    )


def _describe_photograph(model: str, part: Part) -> dict[str, Any]:
    pairs = [pair for pair in part.numbers["pairs"] if pair["absent"]]
    return {
        "model": shorten_model(model),
        "photograph": part.numbers["photograph"],
        "object": next((f"{pair['area']:.0%}" for pair in pairs if pair["outlined"]), "no outline"),
        "A: called": f"{part.numbers['own']} ({part.numbers['sure']:.0%})",
        "turned": f"{sum(pair['fooled'] for pair in pairs)} of {len(pairs)}",
        "largest change": f"{max(pair['largest'] for pair in pairs):.0f}/255" if pairs else "–",
    }
