"""Numbers of study 2: how strongly an explanation shows the watermark, by kind of model and example set."""

from __future__ import annotations

from collections.abc import Sequence

from phosphene.studies.estimates import Estimate, estimate_auc, estimate_mean
from phosphene.studies.folder import Part
from phosphene.studies.words import format_hits

SHOWS = 2.0  # heat in the region, as a multiple of the region's share, from which the watermark counts as shown
MISLEADING = {"uses": "clean", "ignores": "watermarked"}  # the example set that misleads about a model of each kind
TITLES = {"uses": "model uses it", "ignores": "model ignores it"}


def select_kind(parts: Sequence[Part], kind: str) -> list[Part]:
    return [part for part in parts if part.numbers["kind"] == kind]


def list_heat(parts: Sequence[Part], name: str, example_set: str) -> list[float]:
    """Of each model, the heat in the region as a multiple of the region's share of the image."""
    return [part.numbers["shown"][f"{name}/{example_set}"] for part in parts]


def mean_heat(parts: Sequence[Part], name: str, example_set: str) -> float:
    return estimate_mean(list_heat(parts, name, example_set)).mean


def list_shown(parts: Sequence[Part], name: str, example_set: str) -> list[bool]:
    """Of each model, whether the explanation shows the watermark."""
    return [value >= SHOWS for value in list_heat(parts, name, example_set)]


def measure_rate_shown(parts: Sequence[Part], name: str, example_set: str) -> float:
    hits = list_shown(parts, name, example_set)
    return sum(hits) / len(hits)


def format_shown(parts: Sequence[Part], name: str, example_set: str) -> str:
    """The number of models for which the explanation shows the watermark."""
    return format_hits(list_shown(parts, name, example_set))


def estimate_separation(parts: Sequence[Part], name: str, set_of_users: str, set_of_others: str) -> Estimate:
    """AUC of the heat between the two kinds of model, each explained with the given example set."""
    users, others = (select_kind(parts, kind) for kind in ("uses", "ignores"))
    return estimate_auc(list_heat(users, name, set_of_users), list_heat(others, name, set_of_others))


def estimate_misled_separation(parts: Sequence[Part], name: str) -> Estimate:
    """The same, each kind explained with the set that misleads about it."""
    return estimate_separation(parts, name, MISLEADING["uses"], MISLEADING["ignores"])
