"""What the page says about the evidence of a run: tables and sentences, the curve of the gain, matrix, strips."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from markupsafe import Markup

from phosphene.core.images import to_bytes
from phosphene.errors import ArtifactError
from phosphene.evidence import SUMMARY
from phosphene.evidence.tables import DIRECTIONS, STAGES, Table, tables
from phosphene.evidence.wording import MEANINGS, Meaning
from phosphene.report.page import Picture, embed
from phosphene.report.pictures import render_strip
from phosphene.runs.saliency import SaliencyMap

MATRIX = 16  # more concepts than this and the matrix is left to evidence.json
STRIPS = 4  # maps whose fading is shown


@dataclass(frozen=True)
class Score:
    """One score of the run: what it asks, its table, and what is drawn beside it."""

    name: str
    meaning: Meaning
    table: Table
    drawing: Markup
    matrix: list[list[float]]
    strips: list[tuple[str, Picture]]


@dataclass(frozen=True)
class Evidence:
    """The scores of a run that belong to the maps of the folder; `outdated` where the maps have changed since."""

    scores: list[Score]
    concepts: list[str]
    eyes: list[str]
    samples: int
    outdated: bool = False


def evidence(folder: Path, digests: Mapping[str, str | None], side: int = 96) -> Evidence | None:
    """What `evidence.json` says, where there is one; `digests` are those of the artifacts' own evidence, by file."""
    try:
        record = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"cannot read {str(folder / SUMMARY)!r}: {error}; run `phosphene evaluate` again"
        ) from error
    concepts = [entry["concept"] for entry in record["maps"]]
    if any(digests.get(entry["file"]) != entry["digest"] for entry in record["maps"]):
        return Evidence([], concepts, [], 0, outdated=True)
    scores = [
        Score(name, MEANINGS[name], table, Markup(curves(record["scores"]["gain"]) if name == "gain" else ""),
              record["scores"][name]["matrix"] if name == "entanglement" and len(concepts) <= MATRIX else [],
              strips(folder, record["maps"], side) if name == "sanity" else [])
        for name, table in tables(record).items()
    ]  # fmt: skip
    return Evidence(scores, concepts, record["eyes"], record["samples"])


def curves(gain: Mapping[str, Any], width: int = 420, height: int = 190) -> str:
    """The gain over the share of the map as inline SVG: the map, its negative, and random maps."""
    values = [0.0, *(value for name in DIRECTIONS for value in gain[name])]
    low, span, right, foot = min(values), max(max(values) - min(values), 1e-12), width - 110, height - 22
    places = [0.0, *gain["epsilon"]]

    def level(value: float) -> float:
        return 8 + (foot - 16) * (1 - (value - low) / span)

    lines = []
    for name, words in DIRECTIONS.items():
        points = " ".join(f"{right * place:.1f},{level(value):.1f}"
                          for place, value in zip(places, [0.0, *gain[name]], strict=True))  # fmt: skip
        end = level(gain[name][-1])
        lines.append(f'<g class="curve {name}"><polyline points="{points}"/>'
                     f'<text x="{right + 8}" y="{end + 4:.1f}">{words}</text></g>')  # fmt: skip
    ticks = "".join(f'<text x="{right * place:.1f}" y="{height - 4}" text-anchor="middle">{place:.0%}</text>'
                    for place in places[1:])  # fmt: skip
    return (
        f'<svg class="curves" viewBox="0 0 {width} {height}" role="img" aria-label="gain of the score over the share '
        f'of the map"><line x1="0" x2="{right}" y1="{level(0):.1f}" y2="{level(0):.1f}"/>{"".join(lines)}{ticks}</svg>'
    )


def strips(folder: Path, maps: Sequence[Mapping[str, Any]], side: int) -> list[tuple[str, Picture]]:
    """Bare pictures of the first maps, by the model as it is and as it forgets, where they still lie in the folder."""
    found = []
    for entry in maps[:STRIPS]:
        saliency = SaliencyMap.load(folder / entry["file"])
        made_in = saliency.scores.evidence.get("sanity", {}).get("made_in")
        pictures = [saliency.raw_picture]
        with contextlib.suppress(ArtifactError):
            for stage in STAGES if made_in else ():
                path = folder / made_in / stage.replace(" ", "-") / entry["file"]
                pictures.append(SaliencyMap.load(path).raw_picture)
        if len(pictures) == 1 + len(STAGES):
            frames = render_strip(torch.stack([to_bytes(picture) for picture in pictures]), 2 * side)
            found.append((entry["concept"], embed(frames, frames.width, 85)))
    return found
