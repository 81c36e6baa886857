"""The page of a study: one HTML file from `study.json` and the figures beside it, in a light and a dark theme."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from phosphene.core.files import write_atomically
from phosphene.core.reading import IMAGE_LIMIT, RECORD_LIMIT, explain, read_file
from phosphene.core.records import from_plain, parse_json
from phosphene.errors import ArtifactError
from phosphene.report.page import data_uri, render_template
from phosphene.studies.folder import Study


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
        record = parse_json(read_file(folder / "study.json", RECORD_LIMIT))
        from_plain(Study, record)
        return record
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"no readable study.json in {str(folder)!r} ({explain(error)}); expected the --out folder of "
            f"`phosphene study`, run it again"
        ) from error


def _embed_figure(folder: Path, figure: dict[str, str]) -> EmbeddedFigure:
    name = figure["name"]
    try:
        if Path(name).name != name:
            raise ValueError("a name with a folder in it")
        light, dark = (read_file(folder / f"{name}{ending}.png", IMAGE_LIMIT) for ending in ("", "-dark"))
        with Image.open(io.BytesIO(light), formats=["PNG"]) as image:
            width, height = image.size
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise ArtifactError(
            f"the figure {name!r} is missing in {str(folder)!r} ({explain(error)}); run the study again"
        ) from error
    return EmbeddedFigure(figure["title"], figure["caption"], data_uri(light), data_uri(dark), width, height)
