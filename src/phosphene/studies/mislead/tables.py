"""The tables of study 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from phosphene.studies.folder import Table
from phosphene.studies.measures import estimated, estimated_effect
from phosphene.studies.mislead.cases import (  # fmt: skip
    ALL,
    Pair,
    after_shift,
    between,
    cases,
    excess,
    fooled,
    of_maps,
    photographs_of,
    ranked,
    shares,
)
from phosphene.studies.mislead.experiment import Findings, Settings
from phosphene.studies.words import AGNOSTIC, counted, short


def tables(found: Sequence[Findings], settings: Settings) -> list[Table]:
    """On the object (where one is known), on rank correlations, on stamps and on photographs."""
    known = [object_table(found, settings)] if cases(found) else []
    return [*known, rank_table(found, settings), stamp_table(found), photograph_table(found)]


def object_table(found: Sequence[Findings], settings: Settings) -> Table:
    rows = [
        row for one in found for row in _object_rows(short(one.model), cases([one]), [*settings.methods, ALL, AGNOSTIC])
    ]
    both = _object_rows("all models", cases(found), [ALL, AGNOSTIC]) if len(found) > 1 else []
    return Table(
        "On the object of A", "Mean shares of the heat inside the outline of A’s object, over the pairs where the stamp worked: "
        "asked for A and for B on the clean photograph, and for B on the stamped one. From before: the share for B after the "
        "stamp, less that for A before it. Energy: the stamp’s own share there; effect: the share of B’s gain that the stamp’s "
        "half inside the object brings about. Over each the excess of the heat, with 95% intervals that resample whole "
        "photographs, and d, Cohen’s effect size of that paired difference.", [*rows, *both],
    )  # fmt: skip


def _object_rows(model: str, pairs: Sequence[Pair], names: Sequence[str]) -> list[dict[str, Any]]:
    return [_object_row(model, pairs, name) for name in names] if pairs else []


def _object_row(model: str, pairs: Sequence[Pair], name: str) -> dict[str, Any]:
    photographs, seen = photographs_of(pairs), name != AGNOSTIC
    row: dict[str, Any] = {"model": model, "method": name, "pairs": len(pairs)}
    for title, key in (("A, clean", "own_inside"), ("B, clean", "clean_inside"), ("B, stamped", "inside")):
        row[title] = f"{estimated(shares(pairs, name, key)).mean:.0%}" if seen or key == "inside" else "–"
    row["from before"] = str(estimated(excess(pairs, name, "own_inside"), photographs)) if seen else "–"
    for title, key in (("energy", "cause_inside"), ("effect", "effect_inside")):
        over = excess(pairs, name, key)
        row |= {title: f"{estimated([pair[key] for pair in pairs]).mean:.0%}",
                f"over {title}": str(estimated(over, photographs)),
                f"d over {title}": str(estimated_effect(over, photographs))}  # fmt: skip
    return row


def rank_table(found: Sequence[Findings], settings: Settings) -> Table:
    return Table(
        "Asked for another class, and after a constant shift", "Rank correlations on a 14 × 14 grid. Classes: between two absent "
        "classes on one photograph. Stamp: of the heat for B with the stamp’s energy. Before: of the heat for B after the stamp "
        "with that before it. Shift: before and after the constant. For the maps, whose things stand elsewhere with every seed, "
        "also how alike the pictures look to another model (cosine of features).",
        [row for one in found for row in _rank_rows(one, settings)],
    )  # fmt: skip


def _rank_rows(one: Findings, settings: Settings) -> list[dict[str, Any]]:
    pairs = fooled([one])
    rows = [
        {"model": short(one.model), "method": name, "classes": str(estimated(between(one, name))),
         "stamp": str(ranked(pairs, name, "follows_stamp")), "before": str(ranked(pairs, name, "unmoved")),
         "shift": str(estimated(after_shift(one, name)))}
        for name in settings.methods
    ]  # fmt: skip
    alike = {key: str(estimated(of_maps([one], f"alike {key}"))) for key in ("classes", "seeds", "shift")}
    return [*rows,
            {"model": short(one.model), "method": AGNOSTIC, "classes": str(estimated(of_maps([one], "classes"))),
             "stamp": "–", "before": "1 (no input)", "shift": str(estimated(of_maps([one], "shift")))},
            {"model": short(one.model), "method": "its looks", "classes": f"{alike['classes']}; two seeds {alike['seeds']}",
             "stamp": "–", "before": "–", "shift": f"{alike['shift']}; {called(one, 'shifted_called')} still called B"}]  # fmt: skip


def called(one: Findings, key: str) -> str:
    tops = one.maps.numbers[key]
    return f"{sum(tops):.0f} of {len(tops)}"


def stamp_table(found: Sequence[Findings]) -> Table:
    return Table(
        "How small may a stamp be?", "Pairs of photograph and class that become the class, by what the stamp is and how strong: its "
        "root mean square in 1/255 before it is clipped to the range of a pixel, and the mean peak signal-to-noise ratio of the "
        "stamped photographs. Only what is made on the photographs themselves turns them unseen; an input-agnostic map turns them "
        "too, but has to be seen.",
        [{"model": short(one.model), "stamp": row["made"], "strength": f"{row['strength']:g}", "PSNR": f"{row['psnr']:.1f} dB",
          "turned": counted([True] * row["turned"] + [False] * (row["of"] - row["turned"]))}
         for one in found for row in one.reach],
    )  # fmt: skip


def photograph_table(found: Sequence[Findings]) -> Table:
    rows = []
    for one in found:
        for part in one.photographs:
            pairs = [pair for pair in part.numbers["pairs"] if pair["absent"]]
            area = next((f"{pair['area']:.0%}" for pair in pairs if pair["outlined"]), "no outline")
            rows.append({"model": short(one.model), "photograph": part.numbers["photograph"], "object": area,
                         "A: called": f"{part.numbers['own']} ({part.numbers['sure']:.0%})",
                         "turned": f"{sum(pair['fooled'] for pair in pairs)} of {len(pairs)}",
                         "largest change": f"{max(pair['largest'] for pair in pairs):.0f}/255" if pairs else "–"})  # fmt: skip
    return Table(
        "The photographs", "The share of the image that the outline covers; what the model calls the clean photograph, and how sure "
        "it is; how many of the classes B its stamps turned it into; the largest change of any value of a pixel.", rows,
    )  # fmt: skip
