"""A concept without a map, and why."""

from __future__ import annotations

from dataclasses import dataclass

from phosphene.core.reading import explain
from phosphene.errors import PhospheneError


@dataclass(frozen=True)
class Failure:
    """The concept that failed, and the reason in one line."""

    concept: str
    reason: str


def describe_failure(error: Exception) -> str:
    """The reason in one line; of an error that nobody expected, with its type."""
    said = explain(error)
    return said if isinstance(error, PhospheneError) else f"{type(error).__name__}: {said}"
