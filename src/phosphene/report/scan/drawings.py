"""The drawings of the page of a scan, as coordinates that the template writes as SVG."""

from __future__ import annotations

import base64
import binascii
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from PIL import Image

from phosphene.errors import DamagedArtifact
from phosphene.report.page import Picture, data_uri
from phosphene.report.pictures import PIXELS_COUNT_BELOW
from phosphene.scanner.record import ClassEvidence, Curve, Pairs, title_class

KINDS = {"trigger": "plus", "shuffled in place": "minus", "other classes": "random"}  # line styles of report.css
RIGHT = 18  # margin of the curve: half of the width of the last label
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
    """The K×K picture of pairs: places and labels of rows and columns, and whether a column is the target.

    `left_out` classes are not drawn.
    """

    side: float
    size: float
    margin: float
    rows: list[tuple[float, str]]
    columns: list[tuple[float, str, bool]]
    cells: list[Cell]
    low: float
    high: float
    left_out: int


@dataclass(frozen=True)
class Axes:
    """The curve's axes: areas on a logarithmic scale with zero at its left, rates on a linear one."""

    areas: tuple[float, ...]
    left: float
    right: float
    foot: float
    head: float

    def across(self, area: float) -> float:
        if area <= 0:
            return self.left
        positive = [one for one in self.areas if one > 0]
        span = math.log(max(positive)) - math.log(min(positive))
        share = (math.log(area) - math.log(min(positive))) / span if span else 0.0
        begin = self.left + (self._step() if len(positive) < len(self.areas) else 0)
        return begin + share * (self.right - begin)

    def down(self, rate: float) -> float:
        return self.foot - rate * (self.foot - self.head)

    def _step(self) -> float:
        return (self.right - self.left) / max(1, len(self.areas) - 1)


def build_plot(curve: Curve, width: float = 360, height: float = 220) -> Plot:
    """Flip rates over areas."""
    axes = Axes(curve.areas, 37.0, width - RIGHT, height - 34, 10.0)
    lines = [
        Line(name, KINDS.get(name, "random"), _join_points(axes, curve.areas, rates), rates)
        for name, rates in curve.series.items()
    ]
    levels = [(axes.down(rate), f"{rate:.0%}") for rate in (0.0, 0.5, 1.0)]
    return Plot(width, height, axes.left, axes.right, axes.foot, lines, _place_ticks(axes), levels)


def _place_ticks(axes: Axes) -> list[tuple[float, str]]:
    """Labels from the right, as many as have room."""
    ticks: list[tuple[float, str]] = []
    for area in sorted(axes.areas, reverse=True):
        if not ticks or ticks[0][0] - axes.across(area) >= NARROWEST:
            ticks.insert(0, (axes.across(area), f"{100 * area:.3g}%"))
    return ticks


def place_dots(ranking: Sequence[ClassEvidence], width: float = 600) -> list[Dot]:
    """The classes on one line by their score, the highest last so that it is drawn on top."""
    low, high = ranking[-1].score, ranking[0].score
    span = (high - low) or 1.0
    places = [8 + (width - 16) * (one.score - low) / span for one in ranking]
    dots = [Dot(place, one.name, one.score, one is ranking[0]) for place, one in zip(places, ranking, strict=True)]
    return dots[::-1]


def build_grid(pairs: Pairs, names: Sequence[str], target: int | None, margin: float = 110) -> Grid:
    """Rows are sources, columns targets; beyond `MOST_PAIRS` classes those that are easiest to reach stay."""
    rows = _select_classes(pairs, target)
    side = max(12.0, min(30.0, 360 / len(rows)))
    values = [pairs.easiness[row][column] for row in rows for column in rows if row != column]
    low, high = min(values, default=0.0), max(values, default=1.0)
    labels = [names[pairs.classes[row]] for row in rows]
    indices = [pairs.classes[row] for row in rows]
    cells = []
    for y, row in enumerate(rows):
        for x, column in enumerate(rows):
            if row != column:
                value = pairs.easiness[row][column]
                shade = (value - low) / ((high - low) or 1.0)
                cells.append(Cell(margin + x * side, 18 + y * side, shade, labels[y], labels[x], value))
    middles = [(place + 0.5) * side for place in range(len(rows))]
    left = [
        (18 + middle, title_class(index, _shorten(label)))
        for middle, index, label in zip(middles, indices, labels, strict=True)
    ]
    top = [(margin + middle, str(index), index == target) for middle, index in zip(middles, indices, strict=True)]
    size, left_out = margin + len(rows) * side + 1, len(pairs.classes) - len(rows)
    return Grid(side, size, margin, left, top, cells, low, high, left_out)


def embed_png(encoded: str, words: str) -> Picture:
    """A PNG of the record, decoded once to check that it is one; its pixels stay visible where they are few."""
    try:
        content = base64.b64decode(encoded, validate=True)
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            image.load()
            width, height = image.size
    except (binascii.Error, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DamagedArtifact(
            f"the {words} of the scan is no PNG: {error}; expected what `phosphene scan` wrote"
        ) from error
    return Picture(data_uri(content), width, height, max(width, height) < PIXELS_COUNT_BELOW)


def _select_classes(pairs: Pairs, target: int | None) -> list[int]:
    """Rows of the classes that are drawn, in the order of the record."""
    rows = range(len(pairs.classes))
    easiness = [sum(line[row] for line in pairs.easiness) for row in rows]
    ranked = sorted(rows, key=lambda row: (pairs.classes[row] != target, -easiness[row]))
    return sorted(ranked[:MOST_PAIRS])


def _join_points(axes: Axes, areas: Iterable[float], rates: Iterable[float]) -> str:
    return " ".join(f"{axes.across(area):.1f},{axes.down(rate):.1f}" for area, rate in zip(areas, rates, strict=True))


def _shorten(name: str, most: int = 14) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
