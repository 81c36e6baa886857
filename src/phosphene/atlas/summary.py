"""An atlas in a few numbers: means, the worst classes and why, the most entangled pairs."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, median
from typing import Any

from phosphene.atlas.record import Atlas, AtlasClass

DIGITS = 3


def summarize(atlas: Atlas) -> dict[str, Any]:
    """Means over the classes, by words that can be printed."""
    classes = atlas.classes
    agreement = [one.agreement for one in classes if one.agreement is not None]
    elsewhere = sorted({name for one in classes for name in one.elsewhere})
    summary: dict[str, Any] = {
        "classes": len(classes),
        "fidelity": _mean([one.fidelity for one in classes]),
        "median": round(median(one.fidelity for one in classes), DIGITS),
        "top-1": _mean([one.top1 for one in classes]),
        **{f"on {name}": _mean([one.elsewhere.get(name, 0.0) for one in classes]) for name in elsewhere},
        "seen bare": _mean([one.seen for one in classes]),
    }
    if agreement:
        summary["other models agree"] = _mean(agreement)
    return {**summary, "passes": round(fmean(one.passes for one in classes), 1)}


def find_worst(atlas: Atlas, count: int) -> list[AtlasClass]:
    """The classes of the lowest fidelity, the lowest first."""
    return sorted(atlas.classes, key=lambda one: (one.fidelity, one.concept))[:count]


def explain_fidelity(one: AtlasClass) -> str:
    """Why the fidelity of a class is what it is, from what was measured beside it."""
    best = one.top5[0]
    if best.index != one.index:
        return f"its bare picture is predicted as {best.name} ({best.probability:.2f})"
    rival = one.top5[1] if len(one.top5) > 1 else None
    if rival is not None and rival.probability >= 0.1:
        return f"{rival.name} takes {rival.probability:.2f} of its bare picture"
    if one.fidelity < 0.5:
        return "the bare picture is seen, samples with noise and views are not"
    return "nothing stands out"


def find_entangled(atlas: Atlas, count: int) -> list[tuple[str, str, float]]:
    """Pairs of classes that raise each other: map of, raises, share; each pair once, by the larger share."""
    pairs: dict[frozenset[str], tuple[str, str, float]] = {}
    for one in atlas.classes:
        for other in one.neighbours:
            key = frozenset((one.concept, other.concept))
            if key not in pairs or pairs[key][2] < other.share:
                pairs[key] = (one.concept, other.concept, other.share)
    return sorted(pairs.values(), key=lambda pair: -pair[2])[:count]


def _mean(values: Sequence[float]) -> float:
    return round(fmean(values), DIGITS)
