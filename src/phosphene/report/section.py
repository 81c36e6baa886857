"""What the page says about one map: its numbers, its words and its pictures as data URIs."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from PIL import Image

from phosphene.core.images import to_image
from phosphene.evidence.results import make_map_table
from phosphene.evidence.table import Table
from phosphene.model.checks import CHECKS, Check
from phosphene.report.pictures import heat, is_pixel_grid, overlay, scaled, signed, sparkline, strip
from phosphene.report.reproduce import command, snippet
from phosphene.runs.saliency import SaliencyMap

SHOWN_ON = {"uniform": "uniform noise", "pink": "1/f noise", "flat": "flat colours"}


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
class Picture:
    """An embedded image; `grid` says that its pixels are to stay visible."""

    uri: str
    width: int
    height: int
    grid: bool


@dataclass(frozen=True)
class Row:
    """One line of the fidelity table, both numbers in [0,1]."""

    shown_on: str
    probability: float
    top1: float


@dataclass(frozen=True)
class Section:
    """What the template needs of one map: no tensors, so that a thousand fit; its text is escaped there."""

    anchor: str
    concept: str
    targets: tuple[int, ...]
    model: dict[str, Any]
    scores: dict[str, Any]
    fidelity: list[Row]
    area: float
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


def section(saliency: SaliencyMap, number: int, detail: Detail) -> Section:
    """The section of the `number`-th map."""
    return Section(
        anchor=f"map-{number}", concept=saliency.concept, targets=saliency.targets, model=saliency.model,
        scores=saliency.scores, fidelity=fidelity_rows(saliency), area=saliency.mask.mean().item(),
        pictures=pictures(saliency, detail), frames=len(saliency.development), trace=saliency.trace,
        sparkline=Markup(sparkline(saliency.trace)), checks=[_check(name) for name in saliency.checks],
        recipe={name.replace("_", " "): worded(value) for name, value in saliency.recipe.items()},
        command=command(saliency), snippet=snippet(saliency), versions=saliency.versions, passes=saliency.passes,
        seconds=saliency.seconds, digest=saliency.scores.evidence.get("digest"),
        evidence=make_map_table(saliency.scores.evidence) if saliency.scores.evidence else None,
    )  # fmt: skip


def fidelity_rows(saliency: SaliencyMap) -> list[Row]:
    """The map on its own distribution, then on those it has never seen, then refined."""
    own = f"its own: {worded(saliency.recipe.get('distribution', 'unknown'))}"
    scores = saliency.scores
    elsewhere = {SHOWN_ON.get(name, name): fidelity for name, fidelity in scores.fidelity_elsewhere.items()}
    measured = {own: scores.fidelity, **elsewhere, "refined, on its own": scores.refined_fidelity}
    return [Row(name, fidelity.probability, fidelity.top1) for name, fidelity in measured.items()]


def pictures(saliency: SaliencyMap, detail: Detail) -> dict[str, Picture]:
    """Every picture of the section by name; `development` only where the detail asks for it."""
    large = {"raw": to_image(saliency.raw_picture), "refined": to_image(saliency.picture)}
    small = {
        "thumbnail": large["refined"],
        "evidence": overlay(saliency.importance, saliency.raw_picture),
        "importance": heat(saliency.importance),
        "signed": signed(saliency.map),
    }
    embedded = {name: embed(image, detail.small, detail.quality) for name, image in small.items()}
    embedded |= {name: embed(image, detail.side, detail.quality) for name, image in large.items()}
    if detail.development and len(saliency.development):
        frames = strip(saliency.development)
        embedded["development"] = embed(frames, frames.width, detail.quality)
    return embedded


def embed(image: Image.Image, side: int, quality: int) -> Picture:
    """The image, made smaller where it exceeds `side`: PNG where single pixels matter, WebP where it is transparent."""
    shown = scaled(image, side) if max(image.size) > side else image
    grid = is_pixel_grid(shown)
    kind = "png" if grid else "webp" if shown.mode == "RGBA" else "jpeg"
    stream = io.BytesIO()
    shown.save(stream, kind, quality=quality, optimize=True)
    return Picture(f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}", *shown.size, grid)


def worded(value: Any) -> str:
    """A value of a recipe in words: `grey (sigma 0.1)`."""
    if isinstance(value, Mapping):
        inner = ", ".join(f"{name} {worded(held)}" for name, held in value.items() if name != "kind")
        kind = str(value.get("kind", ""))
        return f"{kind} ({inner})" if kind and inner else kind or inner
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "; ".join(map(worded, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _check(name: str) -> Check:
    """The documented check, or its bare name where another version raised it."""
    unknown = "not documented in this version"
    return CHECKS.get(name, Check(name, False, unknown, unknown, "see the version that made the map"))
