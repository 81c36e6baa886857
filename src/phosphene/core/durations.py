"""Durations as people read them."""

from __future__ import annotations


def format_time(seconds: float) -> str:
    """`3 h 20 min`, `12 min`, `40 s`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
