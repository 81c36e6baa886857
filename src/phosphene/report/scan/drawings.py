"""What the page of a scan draws: places and lengths alone, which the template turns into SVG and escapes."""

from __future__ import annotations

import base64
import binascii
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from PIL import Image

from phosphene.errors import DamagedArtifact
from phosphene.report.pictures import PIXELS_COUNT_BELOW
from phosphene.report.section import Picture
from phosphene.scanner.record import ClassEvidence, Curve, Pairs

KINDS = {"trigger": "plus", "shuffled in place": "minus", "other classes": "random"}  # line styles of report.css
RIGHT = 18  # of the curve: half of the last label
NARROWEST = 29  # between two labels of the curve's axis
MOST_PAIRS = 43  # classes on one side of the picture of pairs


@dataclass(frozen=True)
class Line:
    """A series of the curve as the points of a polyline."""

    name: str
    kind: str
    points: str
    rates: tuple[float, ...]


@dataclass(frozen=True)
class Plot:
    """The curve: `ticks` and `levels` are places with their labels."""

    width: float
    height: float
    left: float
    right: float
    foot: float
    lines: list[Line]
    ticks: list[tuple[float, str]]
    levels: list[tuple[float, str]]


@dataclass(frozen=True)
class Dot:
    """One class on the line of scores."""

    x: float
    name: str
    score: float
    top: bool


@dataclass(frozen=True)
class Cell:
    """One pair of classes; `shade` from 0, the hardest, to 1, the easiest."""

    x: float
    y: float
    shade: float
    source: str
    target: str
    easiness: float


@dataclass(frozen=True)
class Grid:
    """The K×K picture of pairs; `left_out` classes had no place."""

    side: float
    size: float
    margin: float
    rows: list[tuple[float, str, bool]]
    columns: list[tuple[float, str, bool]]
    cells: list[Cell]
    low: float
    high: float
    left_out: int


def plot(curve: Curve, width: float = 360, height: float = 220) -> Plot:
    """Flip rates over areas, which double from one to the next: a logarithmic axis with zero at its left."""
    left, right, foot, head = 37.0, width - RIGHT, height - 34, 10.0
    positive = [area for area in curve.areas if area > 0]
    span = math.log(max(positive, default=1.0)) - math.log(min(positive, default=1.0))
    step = (right - left) / max(1, len(curve.areas) - 1)
    begin = left + (step if len(positive) < len(curve.areas) else 0)

    def across(area: float) -> float:
        share = (math.log(area) - math.log(min(positive))) / span if area > 0 and span else 0.0
        return begin + share * (right - begin) if area > 0 else left

    def up(rate: float) -> float:
        return foot - rate * (foot - head)

    lines = [
        Line(name, KINDS.get(name, "random"), _joined(map(across, curve.areas), map(up, rates)), rates)
        for name, rates in curve.series.items()
    ]
    ticks: list[tuple[float, str]] = []
    for area in sorted(curve.areas, reverse=True):
        if not ticks or ticks[0][0] - across(area) >= NARROWEST:
            ticks.insert(0, (across(area), f"{100 * area:.3g}%"))
    return Plot(width, height, left, right, foot, lines, ticks, [(up(rate), f"{rate:.0%}") for rate in (0.0, 0.5, 1.0)])


def dots(ranking: Sequence[ClassEvidence], width: float = 600) -> list[Dot]:
    """The classes on one line by their score, the highest last so that it lies on top."""
    low, high = ranking[-1].score, ranking[0].score
    span = (high - low) or 1.0
    return [Dot(8 + (width - 16) * (one.score - low) / span, one.name, one.score, one is ranking[0])
            for one in reversed(ranking)]  # fmt: skip


def grid(pairs: Pairs, names: Sequence[str], target: int | None, margin: float = 110) -> Grid:
    """Rows are sources, columns targets; beyond `MOST_PAIRS` classes those that are easiest to reach stay."""
    kept = _kept(pairs, target)
    side = max(12.0, min(30.0, 360 / len(kept)))
    values = [pairs.easiness[row][column] for row in kept for column in kept if row != column]
    low, high = min(values, default=0.0), max(values, default=1.0)
    span = (high - low) or 1.0
    indices = [pairs.classes[place] for place in kept]
    cells = [
        Cell(margin + x * side, 18 + y * side, (value - low) / span, names[indices[y]], names[indices[x]], value)
        for y, row in enumerate(kept) for x, column in enumerate(kept) if row != column
        for value in [pairs.easiness[row][column]]
    ]  # fmt: skip
    middle = [18 + (place + 0.5) * side for place in range(len(kept))]
    return Grid(
        side, margin + len(kept) * side + 1, margin,
        [(y, f"{index} {_short(names[index])}", False) for y, index in zip(middle, indices, strict=True)],
        [(y - 18 + margin, str(index), index == target) for y, index in zip(middle, indices, strict=True)],
        cells, low, high, len(pairs.classes) - len(kept),
    )  # fmt: skip


def picture(encoded: str, words: str) -> Picture:
    """A PNG of the record, decoded once to see that it is one; its pixels stay visible where they are few."""
    try:
        content = base64.b64decode(encoded, validate=True)
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            image.load()
            width, height = image.size
    except (binascii.Error, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DamagedArtifact(
            f"the {words} of the scan is no PNG: {error}; expected what `phosphene scan` wrote"
        ) from error
    return Picture(f"data:image/png;base64,{encoded}", width, height, max(width, height) < PIXELS_COUNT_BELOW)


def _kept(pairs: Pairs, target: int | None) -> list[int]:
    """Places of the classes that are drawn, in the order of the record."""
    count = len(pairs.classes)
    ease = [sum(row[place] for row in pairs.easiness) for place in range(count)]
    first = {place for place, index in enumerate(pairs.classes) if index == target}
    ranked = sorted(range(count), key=lambda place: (place not in first, -ease[place]))
    return sorted(ranked[:MOST_PAIRS])


def _joined(across: Iterable[float], up: Iterable[float]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, up, strict=True))


def _short(name: str, most: int = 14) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
