"""How the studies write numbers and names, the same in sentences, tables and figures."""

from __future__ import annotations

from collections.abc import Sequence

from phosphene.studies.estimates import Estimate, estimate_rate

AGNOSTIC = "input-agnostic map"


def join_names(names: Sequence[str], empty: str = "none") -> str:
    """`a`, `a and b`, `a, b and c`; `empty` where there are none."""
    if not names:
        return empty
    return " and ".join(names) if len(names) < 3 else f"{', '.join(names[:-1])} and {names[-1]}"


def format_hits(hits: Sequence[bool]) -> str:
    """`7 of 10 (40% to 89%)`."""
    rate = estimate_rate(hits)
    return f"{sum(hits)} of {len(hits)} ({rate.low:.0%} to {rate.high:.0%})" if hits else "–"


def format_percent(estimate: Estimate) -> str:
    if not estimate.count:
        return "–"
    return f"{estimate.mean:.0%} ({estimate.low:.0%} to {estimate.high:.0%})".replace("-", "−")


def format_signed(value: float) -> str:
    return f"{value:.1f}".replace("-", "−")


def shorten_model(name: str) -> str:
    """`Lite0` for `efficientnet_lite0`; other names as they are."""
    return name.replace("efficientnet_lite", "Lite")
