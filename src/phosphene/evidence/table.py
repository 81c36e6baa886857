"""Tables of short texts, for whatever shows a score: the command line, the report, the docs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from phosphene.evidence.estimates import Estimate


@dataclass(frozen=True)
class Cell:
    """A value as text with its 95% interval, and the number itself where it is one."""

    text: str
    interval: str = ""
    value: float | None = None

    def __str__(self) -> str:
        return f"{self.text} ({self.interval})" if self.interval else self.text


Row = Sequence[str | Cell]


@dataclass(frozen=True)
class Table:
    """Rows of cells; the first of each names it."""

    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def make_table(header: Sequence[str], rows: Sequence[Row]) -> Table:
    """A table of texts and cells."""
    return Table(tuple(header), tuple(tuple(_to_cell(cell) for cell in row) for row in rows))


def share_cell(value: float | Estimate) -> Cell:
    """A share in [0,1], or an estimate of one, in per cent."""
    return _number_cell(value, format_share)


def number_cell(value: float | Estimate) -> Cell:
    """A number, or an estimate of one, with two decimals."""
    return _number_cell(value, format_number)


def format_share(share: float) -> str:
    """A share in per cent; only none and all are written as 0% and 100%."""
    if share in (0, 1):
        return f"{share:.0%}"
    return "<0.1%" if 0 < share < 0.001 else ">99.9%" if 0.999 < share < 1 else f"{share:.1%}".replace("-", "−")


def format_number(number: float) -> str:
    """Two decimals and a true minus sign."""
    return f"{number:.2f}".replace("-", "−")


def _number_cell(value: float | Estimate, write: Callable[[float], str]) -> Cell:
    if not isinstance(value, Estimate):
        return Cell(write(value), value=value)
    known = value.low is not None and value.high is not None
    interval = f"{write(value.low)} to {write(value.high)}" if known else ""  # type: ignore[arg-type]
    return Cell(write(value.value), interval, value.value)


def _to_cell(content: str | Cell) -> Cell:
    return Cell(content) if isinstance(content, str) else content
