"""How the studies word their numbers, the same in sentences, tables and figures."""

from __future__ import annotations

from collections.abc import Sequence

from phosphene.studies.measures import Estimate, rate

AGNOSTIC = "input-agnostic map"


def listed(names: Sequence[str], none: str = "none") -> str:
    """`a`, `a and b`, `a, b and c`; of no names what `none` says."""
    if not names:
        return none
    return " and ".join(names) if len(names) < 3 else f"{', '.join(names[:-1])} and {names[-1]}"


def counted(hits: Sequence[bool]) -> str:
    """`7 of 10 (40% to 89%)`."""
    one = rate(hits)
    return f"{sum(hits)} of {len(hits)} ({one.low:.0%} to {one.high:.0%})" if hits else "–"


def percent(one: Estimate) -> str:
    return f"{one.mean:.0%} ({one.low:.0%} to {one.high:.0%})".replace("-", "−") if one.count else "–"


def signed(value: float) -> str:
    return f"{value:.1f}".replace("-", "−")


def short(model: str) -> str:
    """`Lite0` of `efficientnet_lite0`; other names as they are."""
    return model.replace("efficientnet_lite", "Lite")
