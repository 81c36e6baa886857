"""What study 3 measured, as numbers of its maps."""

from __future__ import annotations

from collections.abc import Sequence

from phosphene.runs.saliency import SaliencyMap


def opinions(maps: Sequence[SaliencyMap]) -> list[bool]:
    """Whether each of the other models puts the concept of each map first."""
    return [bool(seen.top1) for one in maps for seen in one.scores.opinions if seen.top1 is not None]


def own_fidelity(maps: Sequence[SaliencyMap]) -> list[float]:
    return [one.scores.fidelity.probability for one in maps]


def seconds(maps: Sequence[SaliencyMap]) -> float:
    return sum(one.seconds for one in maps) / len(maps)


def raised(one: SaliencyMap) -> float:
    """A channel on fresh draws with its map, in deviations of what noise gives."""
    return float(one.scores.channel.deviations)


def unraised(one: SaliencyMap) -> float:
    """The same on the same draws without it."""
    return float(one.scores.channel.without_map)


def seen_as(one: SaliencyMap) -> str:
    """What its own model calls the picture."""
    return str(one.scores.top5[0].name)
