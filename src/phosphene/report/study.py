"""The page of a study: one HTML file from `study.json` and the figures beside it, in a light and a dark theme."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from phosphene.core.files import write_atomically
from phosphene.errors import ArtifactError
from phosphene.report.page import data_uri, render_template


@dataclass(frozen=True)
class EmbeddedFigure:
    """A figure ready for the page: its two themes as data URIs, and its size in CSS pixels."""

    title: str
    caption: str
    light: str
    dark: str
    width: int
    height: int


def write_study_report(folder: Path) -> Path:
    """Write `<folder>/report.html` and return its path; raises `ArtifactError` where there is no study."""
    record = _read_record(folder)
    figures = [_embed_figure(folder, figure) for figure in record["figures"]]
    target = folder / "report.html"
    write_atomically(target, render_template("study.html", study=record, figures=figures).encode())
    return target


def _read_record(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / "study.json").read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"no readable study.json in {str(folder)!r}; expected the --out folder of `phosphene study`, run it again"
        ) from error


def _embed_figure(folder: Path, figure: dict[str, str]) -> EmbeddedFigure:
    light, dark = (folder / f"{figure['name']}{ending}.png" for ending in ("", "-dark"))
    try:
        with Image.open(light) as image:
            width, height = image.size
        light_uri, dark_uri = (data_uri(path.read_bytes()) for path in (light, dark))
    except OSError as error:
        raise ArtifactError(
            f"the figure {figure['name']!r} is missing in {str(folder)!r}; run the study again"
        ) from error
    return EmbeddedFigure(figure["title"], figure["caption"], light_uri, dark_uri, width, height)
