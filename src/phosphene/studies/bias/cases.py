"""What study 2 measured, as numbers: how strongly an explanation shows the watermark, by kind of model and set."""

from __future__ import annotations

from collections.abc import Sequence

from phosphene.studies.folder import Part
from phosphene.studies.measures import Estimate, estimated, separation
from phosphene.studies.words import counted

SHOWS = 2.0  # heat in the region, as a multiple of its share, from which an explanation is said to show the watermark
MISLEADING = {"uses": "clean", "ignores": "watermarked"}  # the set that misleads about a model of each kind
TITLES = {"uses": "model uses it", "ignores": "model ignores it"}


def of_kind(parts: Sequence[Part], kind: str) -> list[Part]:
    return [part for part in parts if part.numbers["kind"] == kind]


def values(parts: Sequence[Part], name: str, held: str) -> list[float]:
    """Of each model, the heat in the region as a multiple of the region's share of the image."""
    return [part.numbers["shown"][f"{name}/{held}"] for part in parts]


def mean(parts: Sequence[Part], name: str, held: str) -> float:
    return estimated(values(parts, name, held)).mean


def rate_shown(parts: Sequence[Part], name: str, held: str) -> float:
    hits = _hits(parts, name, held)
    return sum(hits) / len(hits)


def shown_by(parts: Sequence[Part], name: str, held: str) -> str:
    """Of how many models the explanation shows the watermark."""
    return counted(_hits(parts, name, held))


def told_apart(parts: Sequence[Part], name: str, using: str, ignoring: str) -> Estimate:
    """How well the heat tells the kinds apart, given the set that each is explained with."""
    return separation(values(of_kind(parts, "uses"), name, using), values(of_kind(parts, "ignores"), name, ignoring))


def misled(parts: Sequence[Part], name: str) -> Estimate:
    """The same, each kind explained with the set that misleads about it."""
    return told_apart(parts, name, MISLEADING["uses"], MISLEADING["ignores"])


def _hits(parts: Sequence[Part], name: str, held: str) -> list[bool]:
    return [value >= SHOWS for value in values(parts, name, held)]
