"""Numbers of study 1: for each pair of photograph and class, by method and yardstick."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from phosphene.studies.estimates import Estimate, estimate_mean
from phosphene.studies.heat_maps import correlate_pairs, correlate_ranks
from phosphene.studies.mislead.experiment import Results
from phosphene.studies.words import AGNOSTIC

ALL = "all methods"

Pair = dict[str, Any]


def list_fooled(results: Sequence[Results]) -> list[Pair]:
    """The pairs where the stamp changed the prediction to B."""
    return [pair for result in results for pair in result.pairs if pair["fooled"]]


def list_outlined(results: Sequence[Results]) -> list[Pair]:
    """Those of them whose object is known, with the input-agnostic map of the class among their methods."""
    return [_add_agnostic(result, pair) for result in results for pair in list_fooled([result]) if pair["outlined"]]


def _add_agnostic(result: Results, pair: Pair) -> Pair:
    classes = list(dict.fromkeys(one["asked"] for one in result.pairs))
    inside = result.maps.numbers["inside"][pair["photograph"]][classes.index(pair["asked"])]
    return pair | {"methods": pair["methods"] | {AGNOSTIC: {"inside": inside}}}


def list_photographs(pairs: Sequence[Pair]) -> list[str]:
    """The clusters of the bootstrap: pairs of one photograph are not independent, whatever the model."""
    return [pair["photograph"] for pair in pairs]


def select_number(pair: Pair, name: str, key: str) -> float:
    """A number of a method, or the mean over all methods that use the photograph."""
    if name != ALL:
        return float(pair["methods"][name][key])
    values = [numbers[key] for method, numbers in pair["methods"].items() if method != AGNOSTIC]
    return float(sum(values) / len(values))


def list_shares(pairs: Sequence[Pair], name: str, key: str = "inside") -> list[float]:
    return [select_number(pair, name, key) for pair in pairs]


def list_excess(pairs: Sequence[Pair], name: str, yardstick: str) -> list[float]:
    """The share of the heat for B on the object of A, minus the yardstick's share there."""
    own = yardstick == "own_inside"
    expected = list_shares(pairs, name, yardstick) if own else [pair[yardstick] for pair in pairs]
    return [share - other for share, other in zip(list_shares(pairs, name), expected, strict=True)]


def estimate_over_photographs(pairs: Sequence[Pair], name: str, key: str) -> Estimate:
    return estimate_mean(list_shares(pairs, name, key), list_photographs(pairs))


def list_class_correlations(result: Results, name: str) -> list[float]:
    """For each photograph, the mean rank correlation between the heats of two classes that are absent from it."""
    values = []
    for photograph in result.photographs:
        absent = [row for row, pair in enumerate(photograph.numbers["pairs"]) if pair["absent"]]
        clean = [photograph.tensors[name][1 + row] for row in absent]
        pairs = correlate_pairs(clean)
        values += [sum(pairs) / len(pairs)] if pairs else []
    return values


def list_shift_correlations(result: Results, name: str) -> list[float]:
    """For each photograph, the rank correlation between the heats before and after the constant shift."""
    heats = [photograph.tensors[name] for photograph in result.photographs]
    return [correlate_ranks(heat[0], heat[-1]) for heat in heats]


def list_agnostic(results: Sequence[Results], key: str) -> list[float]:
    """Numbers of the input-agnostic maps, over all models."""
    return [value for result in results for value in result.maps.numbers[key]]
