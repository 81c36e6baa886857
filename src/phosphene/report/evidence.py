"""What the page says about the evidence of a run: tables and sentences, and what measures have drawn beside them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import torch
from markupsafe import Markup, escape
from torch import Tensor

from phosphene.core.images import to_bytes
from phosphene.errors import ArtifactError
from phosphene.evidence.figure import Curves, Matrix, RemadeMaps
from phosphene.evidence.measure import Measure
from phosphene.evidence.results import EvaluatedMap, Result, load_evaluation, make_results
from phosphene.evidence.table import Table
from phosphene.report.page import Picture, embed
from phosphene.report.pictures import render_strip
from phosphene.runs.saliency import SaliencyMap

MOST_ROWS = 100  # of a matrix: a thousand maps have a million cells
STRIPS = 4  # maps that are shown beside those made again
LINE_STYLES = ("plus", "minus", "random")  # of report.css, in turn


@dataclass(frozen=True)
class Score:
    """One score of the run: its words, its table, and what is drawn beside it."""

    measure: Measure[Any, Any]
    table: Table
    drawing: Markup = Markup()
    matrix: Matrix | None = None
    left_out: str = ""  # what is too large to be drawn
    strips: list[tuple[str, Picture]] = field(default_factory=list)  # caption and picture


@dataclass(frozen=True)
class Evidence:
    """The scores of a run that belong to the maps of the folder; `outdated` where the maps have changed since."""

    scores: list[Score]
    concepts: list[str]
    feature_extractors: tuple[str, ...]
    samples: int
    outdated: bool = False


def load_evidence(folder: Path, digests: Mapping[str, str | None], side: int = 96) -> Evidence | None:
    """What `evidence.json` says, where there is one; `digests` are those of the artifacts' own evidence, by file."""
    evaluation = load_evaluation(folder)
    if evaluation is None:
        return None
    concepts = [entry.concept for entry in evaluation.maps]
    if any(digests.get(entry.file) != entry.digest for entry in evaluation.maps):
        return Evidence([], concepts, (), 0, outdated=True)
    results = make_results(evaluation).values()
    scores = [_make_score(result, folder, evaluation.maps[:STRIPS], side) for result in results]
    return Evidence(scores, concepts, evaluation.feature_extractors, evaluation.samples)


def _make_score(result: Result, folder: Path, maps: tuple[EvaluatedMap, ...], side: int) -> Score:
    measure, table, figure = result.measure, result.table, result.figure
    if isinstance(figure, Curves):
        return Score(measure, table, drawing=Markup(draw_curves(figure)))
    if isinstance(figure, Matrix) and len(figure.names) > MOST_ROWS:
        words = f"The matrix of {len(figure.names)} maps is too large for a page; evidence.json has it."
        return Score(measure, table, left_out=words)
    if isinstance(figure, Matrix):
        return Score(measure, table, matrix=figure)
    if isinstance(figure, RemadeMaps):
        return Score(measure, table, strips=_make_strips(folder, maps, measure.key, figure, side))
    return Score(measure, table)


def draw_curves(figure: Curves, width: int = 420, height: int = 190) -> str:
    """Lines with their legends as inline SVG."""
    values = [0.0, *(value for line in figure.lines.values() for value in line)]
    low, span, right, foot = min(values), max(max(values) - min(values), 1e-12), width - 110, height - 22
    places = [0.0, *figure.shares]

    def level(value: float) -> float:
        return 8 + (foot - 16) * (1 - (value - low) / span)

    lines = []
    for style, (legend, line) in zip(cycle(LINE_STYLES), figure.lines.items()):
        points = [f"{right * x:.1f},{level(y):.1f}" for x, y in zip(places, [0.0, *line], strict=True)]
        polyline = f'<polyline points="{" ".join(points)}"/>'
        text = f'<text x="{right + 8}" y="{level(line[-1]) + 4:.1f}">{escape(legend)}</text>'
        lines.append(f'<g class="curve {style}">{polyline}{text}</g>')
    ticks = [
        f'<text x="{right * place:.1f}" y="{height - 4}" text-anchor="middle">{place:.0%}</text>'
        for place in places[1:]
    ]
    axis = f'<line x1="0" x2="{right}" y1="{level(0):.1f}" y2="{level(0):.1f}"/>'
    return (
        f'<svg class="curves" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(figure.title)}">'
        f"{axis}{''.join(lines)}{''.join(ticks)}</svg>"
    )


def _make_strips(
    folder: Path, maps: tuple[EvaluatedMap, ...], key: str, figure: RemadeMaps, side: int
) -> list[tuple[str, Picture]]:
    """Bare pictures of the first maps beside those made again, where all of these still lie in the folder."""
    strips = []
    for entry in maps:
        pictures = _load_pictures(folder, entry.file, key, figure)
        if len(pictures) == 1 + len(figure.folders):
            frames = render_strip(torch.stack([to_bytes(picture) for picture in pictures]), 2 * side)
            caption = f"{entry.concept}: trained, {', '.join(figure.folders)}"
            strips.append((caption, embed(frames, frames.width, 85)))
    return strips


def _load_pictures(folder: Path, file: str, key: str, figure: RemadeMaps) -> list[Tensor]:
    """The bare picture of a map and those of its maps made again, until one is missing."""
    saliency = SaliencyMap.load(folder / file)
    entry = saliency.scores.evidence.get(key)
    made_in = entry.get("made_in") if isinstance(entry, Mapping) else None
    pictures = [saliency.raw_picture]
    if isinstance(made_in, str):
        with contextlib.suppress(ArtifactError):
            for name in figure.folders.values():
                pictures.append(SaliencyMap.load(folder / made_in / name / file).raw_picture)
    return pictures
