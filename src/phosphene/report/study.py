"""The page of a study: one HTML file from `study.json` and the figures beside it, by day and by night."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from phosphene.core.files import write_atomically
from phosphene.errors import ArtifactError
from phosphene.report import _environment


@dataclass(frozen=True)
class Drawn:
    """A figure ready for the page: its two themes as data URIs, and its size in CSS pixels."""

    title: str
    caption: str
    light: str
    dark: str
    width: int
    height: int


def write_study(folder: Path) -> Path:
    """Write `<folder>/report.html` and return its path; raises `ArtifactError` where there is no study."""
    record = _record(folder)
    figures = [_drawn(folder, figure) for figure in record["figures"]]
    template = _environment().get_template("study.html")
    target = folder / "report.html"
    write_atomically(target, template.render(study=record, figures=figures).encode())
    return target


def _record(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / "study.json").read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"no readable study.json in {str(folder)!r}; expected the --out folder of "
                            f"`phosphene study`, run it again") from error  # fmt: skip


def _drawn(folder: Path, figure: dict[str, str]) -> Drawn:
    light, dark = (folder / f"{figure['name']}{ending}.png" for ending in ("", "-dark"))
    try:
        with Image.open(light) as image:
            width, height = image.size
        by_day, by_night = (_uri(path) for path in (light, dark))
    except OSError as error:
        raise ArtifactError(
            f"the figure {figure['name']!r} is missing in {str(folder)!r}; run the study again"
        ) from error
    return Drawn(figure["title"], figure["caption"], by_day, by_night, width, height)


def _uri(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
