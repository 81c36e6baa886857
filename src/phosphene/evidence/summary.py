"""From the scores of single maps to those of a run: averages with 95% intervals, the matrix of entanglement.

Every function takes what was found for each map, in the order of the run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from phosphene.evidence.similarity import WAYS
from phosphene.evidence.soundness import COSINE, SHARE, matched, mean, rate, rounded, separation, sound

PAIRS = 8  # most entangled pairs that are named
Found = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Company:
    """The concepts of a run and the similarities of maps of different ones, by way of seeing."""

    names: tuple[str, ...]
    between: Mapping[str, Tensor]


def recognition(found: Found, company: Company) -> dict[str, Any]:
    """Rates and mean log-probability of each verifier that has seen every map."""
    by_model: dict[str, list[Mapping[str, Any]]] = {}
    for entry in found:
        for opinion in entry["opinions"]:
            by_model.setdefault(opinion["model"], []).append(opinion)
    return {"verifiers": [_agreement(model, heard) for model, heard in by_model.items()]}


def _agreement(model: str, heard: Found) -> dict[str, Any]:
    rates = {name: rate(f"{name} by {model}", [opinion[name] for opinion in heard]) for name in ("top1", "top5")}
    sure = mean(f"log-probability by {model}", [opinion["log_probability"] for opinion in heard])
    return {"model": model, **rates, "log_probability": sure}


def agnosticity(found: Found, company: Company) -> dict[str, Any]:
    """Top-1 rate on each ground of the maps and of each control that every map has."""
    grounds = found[0]["rates"]
    return {"rates": {
        ground: {laid: rate(f"top-1 on {ground} of {laid}", [entry["rates"][ground][laid] for entry in found])
                 for laid in grounds[ground] if all(laid in entry["rates"][ground] for entry in found)}
        for ground in grounds if all(ground in entry["rates"] for entry in found)
    }}  # fmt: skip


def gain(found: Found, company: Company) -> dict[str, Any]:
    """Mean curves, and the gain of the whole map with its interval."""
    curves = {
        name: rounded(sound(f"logit gain {name}", [entry[name] for entry in found]).mean(dim=0))
        for name in ("plus", "minus", "random")
    }
    full = {name: mean(f"logit gain {name}", [entry[name][-1] for entry in found]) for name in curves}
    return {"epsilon": found[0]["epsilon"], **curves, "full": full}


def classes(found: Found, company: Company) -> dict[str, Any]:
    """Mean similarity of maps of different classes."""
    return {way: mean(f"similarity of {way}", [entry[way]["mean"] for entry in found], COSINE) for way in WAYS}


def entanglement(found: Found, company: Company) -> dict[str, Any]:
    """`E[i][j]`: the rise of j's score by the map of i, in units of its rise by j's own map; the largest named."""
    names = company.names
    raised = sound("entanglement", torch.tensor([[entry["raised"][name] for name in names] for entry in found]))
    shares = entangled(raised)
    apart = shares.clone().fill_diagonal_(-torch.inf).flatten()
    strongest = apart.topk(min(PAIRS, len(names) * (len(names) - 1))).indices.tolist()
    pairs = [{"map_of": names[place // len(names)], "raises": names[place % len(names)],
              "share": round(apart[place].item(), 4)} for place in strongest]  # fmt: skip
    return {"concepts": list(names), "matrix": [rounded(row) for row in shares], "pairs": pairs}


def entangled(raised: Tensor) -> Tensor:
    """Rises `(maps, concepts)`, each column over its own map's: ones on the diagonal."""
    own = raised.diagonal()
    return raised / sound("rise of a concept by its own map", torch.where(own > 0, own, torch.nan))


def complexity(found: Found, company: Company) -> dict[str, Any]:
    return {name: mean(name, [entry[name] for entry in found], SHARE) for name in ("gini", "effective_area")}


def refinement(found: Found, company: Company) -> dict[str, Any]:
    """Fidelity before and after the mask, and what the mask keeps."""
    fidelity = {when: {"probability": mean(f"fidelity {when}", [entry[when]["probability"] for entry in found], SHARE),
                       "top1": rate(f"top-1 {when}", [entry[when]["top1"] for entry in found])}
                for when in ("before", "after")}  # fmt: skip
    return {**fidelity, **{name: mean(name, [entry[name] for entry in found], SHARE) for name in ("inside", "area")}}


def sanity(found: Found, company: Company) -> dict[str, Any]:
    """Similarity at each stage of forgetting, and how well it is told from that of different classes.

    `separation` is an AUC: 0.5 or less says that nothing of the map is left. So is that of `own_class`, of the maps of
    one class by both models against maps of different classes by both: 0.5 says that nothing of the *class* is left.
    """
    stages = {
        stage: {way: {**_beside([[entry["stages"][stage][way]] for entry in found], company.between[way],
                                f"{stage} {way}"),
                      "own_class": _own_class(found, stage, way)} for way in WAYS}
        for stage in found[0]["stages"]
    }  # fmt: skip
    return {"maps": len(found), "stages": stages, "between": _between(company)}


def _own_class(found: Found, stage: str, way: str) -> dict[str, float] | None:
    """None where the maps were not all made again together."""
    rows = [entry.get("beside", {}).get(stage, {}).get(way, []) for entry in found]
    if any(len(row) != len(found) for row in rows):
        return None
    return matched(f"similarity of {way} by {stage}", torch.tensor(rows))


def stability(found: Found, company: Company) -> dict[str, Any]:
    """Similarity of seeds of one class beside that of different classes; the separation is an AUC over pairs."""
    return {"maps": len(found), "seeds": 1 + min(entry["seeds"] for entry in found), "between": _between(company),
            **{way: _beside([entry["same"][way] for entry in found], company.between[way], f"seeds {way}")
               for way in WAYS}}  # fmt: skip


def _beside(alike: Sequence[Sequence[float]], between: Tensor, score: str) -> dict[str, Any]:
    """Mean over maps of their similarities, and how well all of these are told from those of different classes."""
    pairs = [one for row in alike for one in row]
    apart = round(separation(f"similarity of {score}", pairs, between), 4) if len(between) else None
    middle = mean(f"similarity of {score}", [sum(row) / max(1, len(row)) for row in alike], COSINE)
    return {"mean": middle, "pairs": len(pairs), "separation": apart}


def _between(company: Company) -> dict[str, Any]:
    """Pairs share maps, so that no interval stands beside their mean."""
    return {way: {"value": round(alike.mean().item(), 4), "pairs": len(alike)}
            for way, alike in company.between.items() if len(alike)}  # fmt: skip


SUMMARIES: dict[str, Callable[[Found, Company], dict[str, Any]]] = {
    "recognition": recognition,
    "agnosticity": agnosticity,
    "gain": gain,
    "classes": classes,
    "entanglement": entanglement,
    "complexity": complexity,
    "refinement": refinement,
    "sanity": sanity,
    "stability": stability,
}
