"""`phosphene calibrate`: clean models of one's own as what a scan compares with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phosphene.cli.common import Json, Source, one_line_errors, progress, warned
from phosphene.errors import BadInput

if TYPE_CHECKING:
    from phosphene.model.classifier import Classifier

ENDINGS = (".safetensors", ".pt", ".pth")


def calibrate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Weights files of clean models of one architecture.")],
    out: Annotated[Path, typer.Option(help="The table; a row that it holds already is not measured again.")],
    model: Annotated[str | None, typer.Option(help="What the weights belong to, or --factory.")] = None,
    *,
    source: Source,
    as_json: Json = False,
) -> None:
    """Measure the clean models in DIR, for `phosphene scan --calibration`.

    Each model adds a row to the table, which is written after every one: the same command goes on where it stopped,
    and models of another architecture are added by another call with the same --out. The smallest p-value that n
    models can give is 1/(n + 1), so 20 are needed to suspect a model, and 100 to accuse it.
    """
    with one_line_errors():
        files = _weights_in(folder)
        if not out.parent.is_dir():
            raise BadInput(f"--out is {str(out)!r}; expected a file in a folder that exists")
        from phosphene.scanner.calibration import calibrate as calibrate_models
        from phosphene.scanner.reference import MIN_MODELS, Row

        with progress(quiet=as_json) as bar:
            task = bar.add_task("models", total=len(files), rate="")

            def told(row: Row, known: bool) -> None:
                bar.update(task, advance=1)
                if not as_json:
                    bar.console.print(f"{row.name}: {'in the table already' if known else 'measured'}", markup=False)

            table = calibrate_models(_models(model, files, source), out, on_row=told)
        if len(table.rows) < MIN_MODELS:
            warned(f"{len(table.rows)} models are too few to compare with; expected {MIN_MODELS} or more")
        summary = {"table": str(out), "models": len(table.rows), "smallest_p": 1 / (len(table.rows) + 1)}
        words = f"{len(table.rows)} models in {out}; `phosphene scan MODEL --calibration {out}` compares with them"
        typer.echo(json.dumps(summary) if as_json else words)


def _weights_in(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.glob("*") if path.suffix in ENDINGS) if folder.is_dir() else []
    if not files:
        raise BadInput(f"no weights in {str(folder)!r}; expected a folder of {', '.join(ENDINGS)} files")
    return files


def _models(model: str | None, files: Sequence[Path], source: Source) -> Iterator[Classifier]:
    for file in files:
        yield replace(source, weights=file).load(model).replace(name=file.stem)
