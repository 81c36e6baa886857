"""`phosphene calibrate`: clean models of one's own as what a scan compares with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phosphene.cli.options import Json, Source
from phosphene.cli.progress import print_line, show_progress
from phosphene.cli.terminal import echo, warn
from phosphene.core.files import check_target, clear_leftovers
from phosphene.core.locks import lock_target
from phosphene.errors import BadInput

if TYPE_CHECKING:
    from phosphene.model.classifier import Classifier
    from phosphene.scanner.reference import Reference, Row

ENDINGS = (".safetensors", ".pt", ".pth")


def run_calibrate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Weights files of clean models of one architecture.")],
    out: Annotated[Path, typer.Option(help="The table; a row that it holds already is not measured again.")],
    model: Annotated[str | None, typer.Option(help="What the weights belong to, or --factory.")] = None,
    images: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Clean pictures to measure on, for scans with the same --images."),
    ] = None,
    *,
    source: Source,
    as_json: Json = False,
) -> None:
    """Measure the clean models in DIR, for `phosphene scan --calibration`.

    Each model adds a row to the table, which is written after every one: the same command goes on where it stopped,
    and models of another architecture are added by another call with the same --out. The smallest p-value that n
    models can give is 1/(n + 1), so 20 are needed to suspect a model, and 100 to accuse it.
    """
    files = find_weights(folder)
    if not out.parent.is_dir():
        raise BadInput(f"--out is {str(out)!r}; expected a file in a folder that exists")
    check_target(out)
    with lock_target(out, warn):
        clear_leftovers(out.parent)
        table = extend_table(model, files, source, out, images, quiet=as_json)
    print_table(table, out, as_json=as_json)


def find_weights(folder: Path) -> list[Path]:
    """The weights files of a folder, by name; raises `BadInput` where there are none."""
    files = sorted(path for path in folder.glob("*") if path.suffix in ENDINGS) if folder.is_dir() else []
    if not files:
        raise BadInput(f"no weights in {str(folder)!r}; expected a folder of {', '.join(ENDINGS)} files")
    return files


def extend_table(
    model: str | None, files: Sequence[Path], source: Source, out: Path, images: Path | None = None, *, quiet: bool
) -> Reference:
    """The table at `out` with a row for each file."""
    from phosphene.scanner.calibration import calibrate

    with show_progress(quiet=quiet) as bar:
        task = bar.add_task("models", total=len(files), rate="")

        def advance(row: Row, known: bool) -> None:
            bar.update(task, advance=1)
            if not quiet:
                print_line(bar, f"{row.name}: {'in the table already' if known else 'measured'}")

        return calibrate(load_each(model, files, source), out, on_row=advance, images=images)


def load_each(model: str | None, files: Sequence[Path], source: Source) -> Iterator[Classifier]:
    """One classifier after the other, called as its file."""
    for file in files:
        yield replace(source, weights=file).load(model).replace(name=file.stem)


def print_table(table: Reference, out: Path, *, as_json: bool) -> None:
    from phosphene.scanner.reference import MIN_MODELS

    models = len(table.rows)
    if models < MIN_MODELS:
        warn(f"{models} models are too few to compare with; expected {MIN_MODELS} or more")
    summary = {"table": str(out), "models": models, "smallest_p": 1 / (models + 1)}
    sentence = f"{models} models in {out}; `phosphene scan MODEL --calibration {out}` compares with them"
    echo(json.dumps(summary) if as_json else sentence)
