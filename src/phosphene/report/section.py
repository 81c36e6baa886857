"""The section of one map on the page: its numbers, its words and its pictures as data URIs."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from phosphene.core.images import to_image
from phosphene.evidence.results import make_map_table
from phosphene.evidence.table import Table
from phosphene.method.fidelity import Fidelity
from phosphene.model.checks import CHECKS, Check
from phosphene.model.record import ModelRecord
from phosphene.report.page import Picture, embed, format_fields, format_value
from phosphene.report.pictures import draw_sparkline, render_heat, render_overlay, render_signed, render_strip
from phosphene.report.reproduce import format_command, format_snippet, update_recipe
from phosphene.runs.saliency import SaliencyMap
from phosphene.runs.scores import Guess, Scores
from phosphene.runs.wording import describe_picture, name_fidelity

ELSEWHERE = {"uniform": "uniform noise", "pink": "1/f noise", "flat": "flat colours"}


@dataclass(frozen=True)
class Detail:
    """How much of a map is embedded: sides in pixels of its large and small pictures, JPEG quality, development."""

    side: int
    small: int
    quality: int
    development: bool


FULL = Detail(side=448, small=224, quality=90, development=True)
LEAN = Detail(side=160, small=112, quality=75, development=False)


@dataclass(frozen=True)
class Card:
    """A map in the overview: its picture, what the model predicts for it, and where its section is."""

    href: str
    concept: str
    targets: tuple[int, ...]
    model: ModelRecord
    thumbnail: Picture
    fidelity: float
    best: Guess | None
    seen: bool  # whether that is the concept
    checks: tuple[str, ...]
    digest: str | None
    uses_data: bool


@dataclass(frozen=True)
class Section:
    """What the template needs of one map: no tensors, so that a thousand fit; its text is escaped there."""

    anchor: str
    concept: str
    targets: tuple[int, ...]
    model: ModelRecord
    scores: Scores
    fidelity: dict[str, Fidelity]  # by what the map was laid on
    words: tuple[str, str]  # what the two numbers of a fidelity are
    not_seen: str | None  # what the bare picture is taken for, where the model does not see the concept in it
    pictures: dict[str, Picture]
    frames: int
    trace: tuple[float, ...]
    sparkline: Markup
    checks: list[Check]
    recipe: dict[str, str]
    command: str | None
    snippet: str
    versions: dict[str, str]
    passes: int
    seconds: float
    digest: str | None
    evidence: Table | None

    @property
    def uses_data(self) -> bool:
        """Whether samples came from a folder of photographs."""
        return any(check.name == "data-using" for check in self.checks)


def make_card(section: Section, page: str) -> Card:
    """The card of a section that is on `page`, empty for the page of the overview itself."""
    return Card(
        href=f"{page}#{section.anchor}",
        concept=section.concept,
        targets=section.targets,
        model=section.model,
        thumbnail=section.pictures["thumbnail"],
        fidelity=section.scores.fidelity.probability,
        best=next(iter(section.scores.top5), None),
        seen=_is_seen(section),
        checks=tuple(check.name for check in section.checks),
        digest=section.digest,
        uses_data=section.uses_data,
    )


def _is_seen(section: Section) -> bool:
    """Whether the model sees the concept in the bare picture; maps of 0.1 only say what is first."""
    scores = section.scores
    if scores.bare_pictures is not None:
        return scores.bare_pictures.seen
    return not section.targets or not scores.top5 or scores.top5[0].index in section.targets


def name_anchor(number: int) -> str:
    """Where the `number`-th map is on its page."""
    return f"map-{number}"


def describe_map(saliency: SaliencyMap, number: int, detail: Detail) -> Section:
    """The section of the `number`-th map."""
    return Section(
        anchor=name_anchor(number),
        concept=saliency.concept,
        targets=saliency.targets,
        model=saliency.model,
        scores=saliency.scores,
        fidelity=list_fidelity(saliency),
        words=name_fidelity(saliency.scores, saliency.model.output_kind),
        not_seen=describe_picture(saliency.scores),
        pictures=embed_pictures(saliency, detail),
        frames=len(saliency.development),
        trace=saliency.trace,
        sparkline=Markup(draw_sparkline(saliency.trace)),
        checks=[find_check(name) for name in saliency.checks],
        recipe=format_fields(update_recipe(saliency.recipe)),
        command=format_command(saliency),
        snippet=format_snippet(saliency),
        versions=saliency.versions,
        passes=saliency.passes,
        seconds=saliency.seconds,
        digest=saliency.scores.evidence.get("digest"),
        evidence=make_map_table(saliency.scores.evidence) if saliency.scores.evidence else None,
    )


def list_fidelity(saliency: SaliencyMap) -> dict[str, Fidelity]:
    """The map on its own distribution, then on those that the estimate never saw, then refined."""
    scores = saliency.scores
    own = f"its own: {format_value(saliency.recipe.get('distribution', 'unknown'))}"
    names = dict.fromkeys([*ELSEWHERE, *scores.fidelity_elsewhere])  # an artifact lists them by the alphabet
    elsewhere = {
        ELSEWHERE.get(name, name): scores.fidelity_elsewhere[name]
        for name in names
        if name in scores.fidelity_elsewhere
    }
    return {own: scores.fidelity, **elsewhere, "refined, on its own": scores.refined_fidelity}


def embed_pictures(saliency: SaliencyMap, detail: Detail) -> dict[str, Picture]:
    """Every picture of the section by name; `development` only where the detail asks for it."""
    large = {"raw": to_image(saliency.raw_picture), "refined": to_image(saliency.picture)}
    small = {
        "thumbnail": large["raw"],
        "evidence": render_overlay(saliency.importance, saliency.raw_picture),
        "importance": render_heat(saliency.importance),
        "signed": render_signed(saliency.map),
    }
    embedded = {name: embed(image, detail.small, detail.quality) for name, image in small.items()}
    embedded |= {name: embed(image, detail.side, detail.quality) for name, image in large.items()}
    if detail.development and len(saliency.development):
        frames = render_strip(saliency.development)
        embedded["development"] = embed(frames, frames.width, detail.quality)
    return embedded


def find_check(name: str) -> Check:
    """The documented check, or its bare name where another version raised it."""
    unknown = "not documented in this version"
    return CHECKS.get(name, Check(name, False, unknown, unknown, "see the version that made the map"))
