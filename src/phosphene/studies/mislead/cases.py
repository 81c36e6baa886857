"""What study 1 measured, as columns of numbers: for each pair of photograph and class, by method and yardstick."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from phosphene.studies.measures import Estimate, estimated, rank_correlation
from phosphene.studies.mislead.experiment import Findings
from phosphene.studies.words import AGNOSTIC

ALL = "all methods"
YARDSTICKS = ("own_inside", "cause_inside", "effect_inside")  # the heat for A before, and the cause in two ways

Pair = dict[str, Any]


def fooled(found: Sequence[Findings]) -> list[Pair]:
    """The pairs where the stamp worked."""
    return [pair for one in found for pair in one.pairs if pair["fooled"]]


def cases(found: Sequence[Findings]) -> list[Pair]:
    """Those of them whose object is known; the input-agnostic map of the class stands among their methods."""
    kept = []
    for one in found:
        order = list(dict.fromkeys(pair["asked"] for pair in one.pairs))
        for pair in fooled([one]):
            if pair["outlined"]:
                of_map = one.maps.numbers["inside"][pair["photograph"]][order.index(pair["asked"])]
                kept.append(pair | {"methods": pair["methods"] | {AGNOSTIC: {"inside": of_map}}})
    return kept


def photographs_of(pairs: Sequence[Pair]) -> list[str]:
    """The clusters in which pairs are resampled: those of one photograph are not independent, whatever the model."""
    return [pair["photograph"] for pair in pairs]


def of_method(pair: Pair, name: str, key: str) -> float:
    """A number of a method; of all methods that see the photograph, their mean."""
    if name != ALL:
        return float(pair["methods"][name][key])
    values = [numbers[key] for method, numbers in pair["methods"].items() if method != AGNOSTIC]
    return float(sum(values) / len(values))


def shares(pairs: Sequence[Pair], name: str, key: str = "inside") -> list[float]:
    return [of_method(pair, name, key) for pair in pairs]


def excess(pairs: Sequence[Pair], name: str, yardstick: str) -> list[float]:
    """The share of the heat for B on the object of A, less the yardstick's share there."""
    less = shares(pairs, name, yardstick) if yardstick == "own_inside" else [pair[yardstick] for pair in pairs]
    return [share - other for share, other in zip(shares(pairs, name), less, strict=True)]


def ranked(pairs: Sequence[Pair], name: str, key: str) -> Estimate:
    return estimated(shares(pairs, name, key), photographs_of(pairs))


def between(one: Findings, name: str) -> list[float]:
    """For each photograph, the mean rank correlation between the heats of two classes that are absent from it."""
    values = []
    for photograph in one.photographs:
        absent = [row for row, pair in enumerate(photograph.numbers["pairs"]) if pair["absent"]]
        clean = [photograph.tensors[name][1 + row] for row in absent]
        pairs = [rank_correlation(clean[i], clean[j]) for i in range(len(clean)) for j in range(i)]
        values += [sum(pairs) / len(pairs)] if pairs else []
    return values


def after_shift(one: Findings, name: str) -> list[float]:
    return [
        rank_correlation(photograph.tensors[name][0], photograph.tensors[name][-1]) for photograph in one.photographs
    ]


def of_maps(found: Sequence[Findings], key: str) -> list[float]:
    """Numbers of the input-agnostic maps, over all models."""
    return [value for one in found for value in one.maps.numbers[key]]
