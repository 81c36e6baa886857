"""The page of a comparison of two models: pictures side by side, and what each model makes of the other's."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from phosphene.core.files import write_atomically
from phosphene.core.images import to_image
from phosphene.diff.record import Comparison, ConceptChange, PictureRecord
from phosphene.report.page import Picture, embed, format_fields, render_template
from phosphene.report.reproduce import update_recipe
from phosphene.runs.saliency import SaliencyMap

MANY = 60  # beyond this many concepts pictures are smaller
SIDE, SMALL_SIDE, QUALITY = 224, 112, 85


@dataclass(frozen=True)
class Row:
    """The pictures of one model with their means: its own fidelity, and what each of both models makes of them."""

    model: str
    pictures: tuple[tuple[PictureRecord, Picture], ...]
    fidelity: float
    by_a: float
    by_b: float
    score_a: float
    score_b: float


@dataclass(frozen=True)
class DiffSection:
    """One concept on the page; `bar` is the share of the largest change that its own is, in [0,1]."""

    anchor: str
    change: ConceptChange
    rows: tuple[Row, Row]
    bar: float


def write_diff_report(folder: Path) -> Path:
    """Write `<folder>/report.html` and return its path; raises `ArtifactError` where there is no comparison."""
    comparison = Comparison.load(folder)
    side = SIDE if len(comparison.concepts) <= MANY else SMALL_SIDE
    largest = max(max(change.high for change in comparison.concepts), 1e-9)
    sections = [
        describe_concept(folder, change, number, side, largest)
        for number, change in enumerate(comparison.concepts, start=1)
    ]
    html = render_template(
        "diff.html",
        comparison=comparison,
        sections=sections,
        changed=[section for section in sections if section.change.changed],
        recipe=format_fields(update_recipe(comparison.recipe)),
        version=version("phosphene"),
    )
    target = folder / "report.html"
    write_atomically(target, html.encode())
    return target


def describe_concept(folder: Path, change: ConceptChange, number: int, side: int, largest: float) -> DiffSection:
    rows = tuple(
        _make_row(folder, model, [one for one in change.pictures if one.model == model], side) for model in ("a", "b")
    )
    return DiffSection(f"concept-{number}", change, (rows[0], rows[1]), min(1.0, max(0.0, change.change / largest)))


def _make_row(folder: Path, model: str, pictures: Sequence[PictureRecord], side: int) -> Row:
    embedded = [
        (one, embed(to_image(SaliencyMap.load(folder / one.file).raw_picture), side, QUALITY)) for one in pictures
    ]
    return Row(
        model=model,
        pictures=tuple(embedded),
        fidelity=statistics.fmean(one.fidelity for one in pictures),
        by_a=statistics.fmean(one.by_a.probability for one in pictures),
        by_b=statistics.fmean(one.by_b.probability for one in pictures),
        score_a=statistics.fmean(one.by_a.score for one in pictures),
        score_b=statistics.fmean(one.by_b.score for one in pictures),
    )
