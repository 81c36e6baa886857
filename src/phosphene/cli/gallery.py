"""`phosphene gallery`: a wall of every picture of a folder, or of two side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from phosphene.cli.options import Json
from phosphene.cli.progress import show_progress
from phosphene.cli.terminal import echo
from phosphene.errors import BadInput


def run_gallery(
    folders: Annotated[
        list[Path], typer.Argument(metavar="DIR [DIR2]", help="The --out folder of `atlas` or `map`, or two of them.")
    ],
    out: Annotated[Path | None, typer.Option(help="Folder for the gallery; by default DIR/gallery.")] = None,
    as_json: Json = False,
) -> None:
    """Write a gallery of DIR: a wall that can be searched and sorted, and a page for each class. With DIR2 the same
    classes of two models, seeds or recipes stand side by side. Plain files, no network."""
    from phosphene.report.gallery import write_gallery

    if len(folders) > 2:
        raise BadInput(f"{len(folders)} folders given; expected one, or two to compare")
    name = "gallery" if len(folders) == 1 else f"gallery-{folders[1].resolve().name}"
    target = out if out is not None else folders[0] / name
    with show_progress(quiet=as_json) as bar:
        task = bar.add_task("pages", total=None, rate="")
        path = write_gallery(folders, target, lambda done, count: bar.update(task, completed=done, total=count))
    echo(json.dumps({"gallery": str(path)}) if as_json else f"gallery: {path.resolve()}")
