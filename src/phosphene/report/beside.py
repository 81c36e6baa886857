"""The page of maps by several models: a row a concept, a column a model, and what each makes of the others' pictures.

Beyond a hundred concepts pictures are smaller and the table goes on on pages beside it, `beside-2.html` and so on. Each
model's own page, `report.html` in the folder of its maps, is written too: a picture leads there.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from phosphene.beside.record import Cell, Column, SideBySide
from phosphene.core.files import write_atomically
from phosphene.core.images import to_image
from phosphene.errors import ArtifactError
from phosphene.report.maps import INDEX, list_links, write_report
from phosphene.report.page import Picture, embed, format_fields, render_template
from phosphene.report.reproduce import update_recipe
from phosphene.runs.saliency import SaliencyMap
from phosphene.runs.scores import Opinion
from phosphene.runs.wording import name_fidelity

MANY = 100  # concepts of a page; where there are more, pictures are smaller
SIDE, SMALL_SIDE, QUALITY = 288, 128, 85
NOT_YET = "not made yet; the same `phosphene map` goes on"
FIRST = "beside.html"


@dataclass(frozen=True)
class Judgement:
    """What another model makes of a picture. `seen` is None where it has no such concept, as of a channel; `share` is
    the probability of `name`: of the concept where it is seen, else of the strongest class."""

    judge: str
    seen: bool | None
    name: str
    share: float


@dataclass(frozen=True)
class Shown:
    """A cell with a map: its bare picture, where its numbers are, its own fidelity, and what other models say."""

    concept: str
    picture: Picture
    href: str
    word: str
    fidelity: float
    judgements: tuple[Judgement, ...]
    checks: tuple[str, ...]
    recipe: Mapping[str, str]


@dataclass(frozen=True)
class Line:
    """A concept on the page, with a map or the reason why there is none for each model."""

    anchor: str
    concept: str
    cells: tuple[Shown | str, ...]


def write_beside_report(folder: Path) -> Path:
    """Write `<folder>/beside.html`, further pages where there are many concepts, and `report.html` of each model;
    returns the path of the first. Raises `ArtifactError` where there is no record or no map at all."""
    table = SideBySide.load(folder)
    links = [_write_own_page(folder, column) for column in table.columns]
    if not any(links):
        raise ArtifactError(f"no finished maps in {str(folder)!r}; run the same `phosphene map` again, it goes on")
    lines = _describe_lines(folder, table, links)
    pages = [
        (name_page(number), lines[start : start + MANY]) for number, start in enumerate(range(0, len(lines), MANY))
    ]
    for name, some in pages:
        write_atomically(folder / name, render_page(name, table, lines, some, pages).encode())
    return folder / FIRST


def name_page(number: int) -> str:
    return f"beside-{number + 1}.html" if number else FIRST


def _write_own_page(folder: Path, column: Column) -> dict[str, str]:
    """The links to the maps of one model, whose page is written; none where it has no maps yet."""
    own = folder / column.folder
    if not any(own.glob("*.safetensors")):
        return {}
    write_report(own, f"../{FIRST}" if column.folder else FIRST)
    prefix = f"{column.folder}/" if column.folder else ""
    return {name: prefix + link for name, link in list_links(own).items()}


def _describe_lines(folder: Path, table: SideBySide, links: Sequence[Mapping[str, str]]) -> list[Line]:
    titles = {column.model.fingerprint: column.title for column in table.columns}
    side = SIDE if len(table.rows) <= MANY else SMALL_SIDE
    lines = []
    for number, row in enumerate(table.rows, start=1):
        places = zip(table.columns, row.cells, links, strict=True)
        cells = tuple(_describe_cell(folder, column, cell, some, titles, side) for column, cell, some in places)
        lines.append(Line(f"concept-{number}", row.concept, cells))
    return lines


def _describe_cell(
    folder: Path, column: Column, cell: Cell, links: Mapping[str, str], titles: Mapping[str, str], side: int
) -> Shown | str:
    if cell.file not in links:
        return cell.missing or NOT_YET
    path = folder / column.folder / cell.file
    saliency = SaliencyMap.load(path)
    if saliency.model.fingerprint != column.model.fingerprint:
        raise ArtifactError(f"{str(path)!r} is of other weights than {column.title}; run `phosphene map` again")
    return Shown(
        concept=saliency.concept,
        picture=embed(to_image(saliency.raw_picture), side, QUALITY),
        href=links[cell.file],
        word=name_fidelity(saliency.scores, saliency.model.output_kind)[0],
        fidelity=saliency.scores.fidelity.probability,
        judgements=_describe_opinions(saliency, titles),
        checks=saliency.checks,
        recipe=format_fields(update_recipe(saliency.recipe)),
    )


def _describe_opinions(saliency: SaliencyMap, titles: Mapping[str, str]) -> tuple[Judgement, ...]:
    """In the order of the columns, then other verifiers."""
    places = {fingerprint: place for place, fingerprint in enumerate(titles)}
    opinions = sorted(saliency.scores.opinions, key=lambda one: places.get(one.fingerprint, len(places)))
    return tuple(describe_opinion(one, saliency.concept, titles) for one in opinions)


def describe_opinion(opinion: Opinion, concept: str, titles: Mapping[str, str]) -> Judgement:
    """An opinion in the words of the page; `titles` are the names of models by the fingerprint of their weights."""
    judge, strongest = titles.get(opinion.fingerprint, opinion.model), opinion.top5[0]
    if opinion.top1 and opinion.log_probability is not None:
        return Judgement(judge, True, concept, math.exp(opinion.log_probability))
    return Judgement(judge, opinion.top1, strongest.name, strongest.probability)


def render_page(
    name: str, table: SideBySide, lines: Sequence[Line], some: Sequence[Line], pages: Sequence[tuple[str, list[Line]]]
) -> str:
    """The HTML of a page with the lines `some` of all `lines`."""
    shown = [cell for line in lines for cell in line.cells if isinstance(cell, Shown)]
    return render_template(
        "beside.html",
        columns=table.columns,
        own_pages=[f"{one.folder}/{INDEX}" if one.folder else INDEX for one in table.columns],
        has_maps=[any(isinstance(line.cells[k], Shown) for line in lines) for k in range(len(table.columns))],
        medians=[_take_median(lines, k) for k in range(len(table.columns))],
        agreement=count_agreement(table.columns, lines),
        lines=some,
        pages=[(page, part[0].concept, part[-1].concept) for page, part in pages] if len(pages) > 1 else [],
        page_name=name,
        total=len(lines),
        data_using=any("data-using" in cell.checks for cell in shown),
        recipe=shown[0].recipe if shown else {},
        version=version("phosphene"),
    )


def _take_median(lines: Sequence[Line], column: int) -> float | None:
    found = [cell.fidelity for line in lines if isinstance(cell := line.cells[column], Shown)]
    return statistics.median(found) if found else None


def count_agreement(columns: Sequence[Column], lines: Sequence[Line]) -> list[list[tuple[int, int] | None]]:
    """For each model the number of its pictures that each model recognises, of those that it judged; None for its own,
    and where it judged none."""
    return [[_count(lines, owner, judge.title) for judge in columns] for owner in range(len(columns))]


def _count(lines: Sequence[Line], owner: int, judge: str) -> tuple[int, int] | None:
    seen = list(_list_seen(lines, owner, judge))
    return (sum(seen), len(seen)) if seen else None


def _list_seen(lines: Sequence[Line], owner: int, judge: str) -> Iterator[bool]:
    for line in lines:
        cell = line.cells[owner]
        for one in cell.judgements if isinstance(cell, Shown) else ():
            if one.judge == judge and one.seen is not None:
                yield one.seen
