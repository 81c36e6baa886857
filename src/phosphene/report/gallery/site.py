"""The files of a gallery: the wall, a page for each concept, thumbnails and one stylesheet.

Maps are read one after the other and only their cards are kept, so that a thousand take the memory of one. A page of a
concept needs no script; the wall without one is a list in chapters.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import groupby
from pathlib import Path

from phosphene.atlas.summary import find_entangled, find_worst
from phosphene.core.files import prepare_folder, write_atomically
from phosphene.core.locks import lock_target
from phosphene.model.record import ModelRecord
from phosphene.report.gallery.cards import Card, Side, count_kinds, make_side, make_thumbnail
from phosphene.report.gallery.shelf import Folder, Place, arrange, open_folders
from phosphene.report.page import render_template
from phosphene.report.section import Detail, Section, describe_map
from phosphene.runs.callbacks import noop
from phosphene.runs.saliency import SaliencyMap

INDEX, STYLE, NUMBERS = "index.html", "style.css", "numbers.html"
TEMPLATES = {STYLE: "gallery.css", NUMBERS: "gallery-numbers.html"}
DETAIL = Detail(side=320, small=176, quality=82, development=True)
LISTED = 12  # classes and pairs that the front page names


@dataclass(frozen=True)
class Near:
    """A neighbour of a concept: the page and thumbnail of it, and the share of its own rise."""

    stem: str
    concept: str
    share: float
    thumbnail: str


def write_gallery(paths: Sequence[Path], out: Path, on_page: Callable[[int, int], None] = noop) -> Path:
    """Write the gallery of one folder of maps, or of two side by side, into `out`; returns the path of its wall.

    `on_page` is called with the number of pages that are written and of all. Raises `ArtifactError` where a folder has
    no maps or `out` cannot be written.
    """
    folders = open_folders(paths)
    places = arrange(folders)
    for part in ("", "classes", *(f"thumbs/{number}" for number in range(len(folders)))):
        prepare_folder(out / part)
    with lock_target(out / INDEX, noop):
        for name in (STYLE, NUMBERS):
            write_atomically(out / name, render_template(TEMPLATES[name]).encode())
        names = {Path(row.file).stem: row.concept for folder in folders for row in folder.rows.values()}
        cards: list[Card] = []
        models: dict[str, ModelRecord] = {}
        for number, place in enumerate(places, start=1):
            card, sections = _write_class(out, folders, place, names)
            cards.append(card)
            models |= {section.model.fingerprint: section.model for section in sections}
            on_page(number, len(places))
        write_atomically(out / INDEX, render_wall(folders, cards, list(models.values())).encode())
    return out / INDEX


def _write_class(
    out: Path, folders: Sequence[Folder], place: Place, names: Mapping[str, str]
) -> tuple[Card, list[Section]]:
    """Thumbnails and page of a concept."""
    sides: list[Side | None] = []
    sections: list[Section] = []
    nearest: list[list[Near]] = []
    for number, folder in enumerate(folders):
        if place.stem not in folder.artifacts:
            sides.append(None)
            continue
        saliency = SaliencyMap.load(folder.artifacts[place.stem])
        content, size, grid = make_thumbnail(saliency)
        thumbnail = f"thumbs/{number}/{place.stem}.webp"
        write_atomically(out / thumbnail, content)
        sides.append(make_side(saliency, thumbnail, size, grid))
        sections.append(describe_map(saliency, len(sections) + 1, DETAIL))
        nearest.append(find_near(folder, number, place.stem))
    card = Card(place.stem, sections[0].concept, place.chapter, tuple(sides))
    page = render_template(
        "class.html",
        card=card,
        place=place,
        names=names,
        sections=list(zip(sections, nearest, strict=True)),
        models=list({section.model.fingerprint: section.model for section in sections}.values()),
        version=version("phosphene"),
        evidence=None,
        index="",
    )
    write_atomically(out / "classes" / f"{place.stem}.html", page.encode())
    return card, sections


def find_near(folder: Folder, number: int, stem: str) -> list[Near]:
    """The neighbours that the atlas names and the folder has."""
    row = folder.rows.get(stem)
    stems = {other.concept: Path(other.file).stem for other in folder.rows.values()} if row is not None else {}
    near = row.neighbours if row is not None else ()
    return [
        Near(stems[one.concept], one.concept, one.share, f"thumbs/{number}/{stems[one.concept]}.webp")
        for one in near
        if stems.get(one.concept) in folder.artifacts
    ]


def render_wall(folders: Sequence[Folder], cards: Sequence[Card], models: Sequence[ModelRecord]) -> str:
    """The HTML of the wall."""
    chapters = [(title, list(some)) for title, some in groupby(cards, key=lambda card: card.chapter)]
    judged = [card.agreement for card in cards if card.agreement is not None]
    stems = {card.concept: card.stem for card in cards}
    atlas = next((folder.atlas for folder in folders if folder.atlas is not None), None)
    return render_template(
        "gallery.html",
        cards=cards,
        chapters=chapters,
        folders=[folder.path.resolve().name for folder in folders],
        models=models,
        kinds=count_kinds(cards),
        judged=bool(judged),
        agreement=statistics.fmean(judged) if judged else None,
        median_fidelity=statistics.median(card.fidelity for card in cards),
        seen=statistics.fmean(all(side.seen for side in card.some) for card in cards),
        stems=stems,
        worst=[one for one in find_worst(atlas, LISTED) if one.concept in stems] if atlas else [],
        entangled=[one for one in find_entangled(atlas, LISTED) if {one[0], one[1]} <= stems.keys()] if atlas else [],
        version=version("phosphene"),
    )
