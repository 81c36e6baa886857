"""The page of a folder of maps: every map with each picture beside its numbers.

It is built from the artifacts alone, one after the other, so that a thousand maps take the memory of a hundred.
Beyond a hundred maps the page has all pictures, small, and the maps themselves are on pages of a hundred beside it: a
thousand on one page would take a browser many seconds to open.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from phosphene.core.files import clear_leftovers, write_atomically
from phosphene.report.evidence import load_evidence
from phosphene.report.page import render_template
from phosphene.report.section import FULL, LEAN, Card, Section, describe_map, make_card, name_anchor
from phosphene.runs.saliency import SaliencyMap
from phosphene.runs.store import artifact_paths

MANY = 100  # maps of a page; where there are more, pictures are smaller and the development is left out
INDEX = "report.html"


def write_report(folder: Path, beside: str = "") -> Path:
    """Write `<folder>/report.html`, and pages `report-1.html`, … where there are many maps; returns the path of the
    first. `beside` is where the page is that shows other models' maps next to these. Raises `ArtifactError` where there
    are no maps to show."""
    paths = artifact_paths(folder)
    clear_leftovers(folder)
    if len(paths) <= MANY:
        sections = [describe_map(SaliencyMap.load(path), number, FULL) for number, path in enumerate(paths, start=1)]
        cards = [make_card(section, "") for section in sections]
        return _write_index(folder, paths, cards, sections=sections, pages=[], beside=beside)
    cards, pages = [], []
    for name, group in _split(paths):
        sections = [describe_map(SaliencyMap.load(path), number, LEAN) for number, path in group]
        cards += [make_card(section, name) for section in sections]
        _write_page(folder, name, [make_card(section, "") for section in sections], sections=sections)
        pages.append((name, sections[0].concept, sections[-1].concept))
    return _write_index(folder, paths, cards, sections=[], pages=pages, beside=beside)


def list_links(folder: Path) -> dict[str, str]:
    """Where the pages of a folder show each map, by the name of its file: `report.html#map-1`."""
    paths = artifact_paths(folder)
    pages = _split(paths) if len(paths) > MANY else [(INDEX, list(enumerate(paths, start=1)))]
    return {path.name: f"{page}#{name_anchor(number)}" for page, group in pages for number, path in group}


def _split(paths: Sequence[Path]) -> Iterator[tuple[str, list[tuple[int, Path]]]]:
    """Pages by name, with the numbered maps of each."""
    numbered = list(enumerate(paths, start=1))
    for page, start in enumerate(range(0, len(paths), MANY), start=1):
        yield f"report-{page}.html", numbered[start : start + MANY]


def _write_index(folder: Path, paths: Sequence[Path], cards: Sequence[Card], **values: Any) -> Path:
    digests = {path.name: card.digest for path, card in zip(paths, cards, strict=True)}
    return _write_page(folder, INDEX, cards, evidence=load_evidence(folder, digests), **values)


def _write_page(folder: Path, name: str, cards: Sequence[Card], **values: Any) -> Path:
    target = folder / name
    write_atomically(target, render_report(name, cards, **values).encode())
    return target


def render_report(name: str, cards: Sequence[Card], sections: Sequence[Section], **values: Any) -> str:
    """The HTML of a page: the overview of `cards`, and the maps of `sections`."""
    defaults: dict[str, Any] = {"evidence": None, "pages": [], "beside": ""}
    return render_template(
        "report.html",
        **defaults | values,
        index="" if name == INDEX else INDEX,
        cards=cards,
        sections=sections,
        models=list(dict.fromkeys(card.model for card in cards)),
        data_using=[card.concept for card in cards if card.uses_data],
        lean=name != INDEX or not sections,
        median_fidelity=statistics.median(card.fidelity for card in cards),
        version=version("phosphene"),
    )
