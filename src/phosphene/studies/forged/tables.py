"""The tables of study 4."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from phosphene.studies.estimates import estimate_mean
from phosphene.studies.folder import Part, Table
from phosphene.studies.forged.cases import (
    ASKINGS,
    CHECKS,
    Verdict,
    estimate_power,
    find_suspect,
    list_correlations,
    list_forged,
    select,
    succeeds,
)
from phosphene.studies.forged.networks import NARROW, WIDE
from phosphene.studies.words import format_hits, format_percent


def build_tables(parts: Sequence[Part], verdict: Verdict) -> list[Table]:
    forged, honest = select(parts, False, True), select(parts, False, False)
    tables = [
        Table(
            "The forgeries",
            "Means over forged networks with 95% intervals; agreement is with the network as it was, on held-out images. A forgery "
            "succeeds where they agree on 95%, the network is sure of its own map, and the map is nearer to the chosen picture than to "
            "the map of the network as it was.",
            [_describe_scope(parts, scope) for scope in (NARROW, WIDE) if _of_scope(list_forged(parts), scope)],
        ),
        Table(
            "What each way of asking shows",
            "The class whose map is forged: correlation of its picture with the picture that the forger chose and with the map of the "
            "network as it was, and similarity to the default’s picture in the network’s own features, for forged classes and for "
            "all classes of honest networks.",
            [_describe_asking(forged, honest, number) for number in range(len(ASKINGS))] if forged else [],
        ),
        Table(
            "The check, and others that could be made of the same pictures",
            f"One number a network, of its most doubtful class. The networks of development chose “{verdict.check}”, and the bound "
            f"{verdict.bound:.2f}; AUC and counts are of other networks.",
            [_describe_check(parts, check) for check in CHECKS],
        ),
        Table(
            "Power and false alarms",
            "Of the chosen check at its bound; “the right class”: the most doubtful one is the forged one.",
            [_describe_power(_of_scope(forged, scope), verdict, scope) for scope in (NARROW, WIDE)]
            + [_describe_power(honest, verdict, "honest")],
        ),
    ]
    return [table for table in tables if table.rows]


def _of_scope(parts: Sequence[Part], scope: str) -> list[Part]:
    return [part for part in parts if part.numbers["plan"]["scope"] == scope]


def _describe_scope(parts: Sequence[Part], scope: str) -> dict[str, Any]:
    networks = _of_scope(list_forged(parts), scope)

    def mean(key: str) -> str:
        return str(estimate_mean([float(part.numbers[key]) for part in networks]))

    return {
        "the forger prepares for": scope,
        "networks": len(networks),
        "agreement": format_percent(estimate_mean([part.numbers["agreement"] for part in networks])),
        "own fidelity": mean("own fidelity"),
        "correlation with the chosen picture": mean("correlation with the target"),
        "with the map as it was": mean("correlation with the honest map"),
        "the network as it was still names the class": format_hits(
            [bool(p.numbers["original names it"]) for p in networks]
        ),
        "succeed": format_hits([succeeds(part) for part in networks]),
    }


def _describe_asking(forged: Sequence[Part], honest: Sequence[Part], number: int) -> dict[str, Any]:
    target, truth = ([list_correlations(part, picture)[number] for part in forged] for picture in ("target", "honest"))
    bent = [float(part.tensors["features"][part.numbers["plan"]["victim"], 0, number]) for part in forged]
    usual = [float(part.tensors["features"][:, 0, number].mean()) for part in honest]
    return {
        "asked by": ASKINGS[number],
        "like the chosen picture": str(estimate_mean(target)),
        "like the map as it was": str(estimate_mean(truth)),
        "like the default’s, forged": str(estimate_mean(bent)),
        "like the default’s, honest": str(estimate_mean(usual)),
    }


def _describe_check(parts: Sequence[Part], check: str) -> dict[str, Any]:
    return {"doubt": check, "AUC": str(estimate_power(parts, check))}


def _describe_power(parts: Sequence[Part], verdict: Verdict, kind: str) -> dict[str, Any]:
    found = [find_suspect(part, verdict.check) == part.numbers["plan"]["victim"] for part in parts]
    return {
        "networks": kind if kind == "honest" else f"forged, prepared for {kind}",
        "alarms": format_hits(verdict.alarms(parts)),
        "the right class": "–" if kind == "honest" else format_hits(found),
    }
