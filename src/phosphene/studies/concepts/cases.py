"""Numbers of study 3, from its maps."""

from __future__ import annotations

from collections.abc import Sequence

from phosphene.runs.saliency import SaliencyMap
from phosphene.runs.scores import ChannelScore


def list_top1(maps: Sequence[SaliencyMap]) -> list[bool]:
    """Whether each of the other models predicts the concept of each map for its bare picture."""
    opinions = [opinion for saliency in maps for opinion in saliency.scores.opinions]
    return [opinion.top1 for opinion in opinions if opinion.top1 is not None]


def list_fidelity(maps: Sequence[SaliencyMap]) -> list[float]:
    """Own fidelity of each map, as a mean probability."""
    return [saliency.scores.fidelity.probability for saliency in maps]


def mean_seconds(maps: Sequence[SaliencyMap]) -> float:
    return sum(saliency.seconds for saliency in maps) / len(maps)


def channel_score(saliency: SaliencyMap) -> ChannelScore:
    """The score of the map of a channel. Raises `ValueError` for other concepts."""
    if saliency.scores.channel is None:
        raise ValueError(f"{saliency.concept!r} is no channel")
    return saliency.scores.channel


def predicted_class(saliency: SaliencyMap) -> str:
    """What its own model predicts for the bare picture."""
    return saliency.scores.top5[0].name
