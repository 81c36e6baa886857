"""`phosphene evaluate`: the evidence of a folder of maps, or of maps that are made first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phosphene.cli.common import (
    Json,
    Source,
    Verifier,
    listener_on,
    load_verifiers,
    one_line_errors,
    progress,
    recipe_from,
    warned,
)
from phosphene.errors import BadInput

if TYPE_CHECKING:
    from rich.progress import Progress

    from phosphene.evidence import Watcher


def evaluate(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="DIR|MODEL CONCEPT...",
            help="A folder of maps and, where not all are meant, which; or a model and what to make maps of first.",
        ),
    ],
    verifier: Verifier = None,
    samples: Annotated[int, typer.Option(help="Draws that each rate and each gain is measured on.")] = 8,
    sanity: Annotated[
        int, typer.Option(help="Maps that randomised models make again: 4 more maps each.", metavar="MAPS")
    ] = 0,
    seeds: Annotated[int, typer.Option(help="Other seeds that every map is made again from.")] = 0,
    preset: Annotated[str, typer.Option(help="Of maps that are made first: default, fast, best or paper.")] = "default",
    seed: Annotated[int, typer.Option(help="Of maps that are made first.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for maps that are made first.")] = Path("phosphene-maps"),
    *,
    source: Source,
    as_json: Json = False,
) -> None:
    """Measure the evidence of finished maps, write it into them, and say what it amounts to.

    Given a MODEL, the maps of the CONCEPTs are made first, in --out. Scores are kept; what is missing is measured, so
    that the same command goes on after an interruption. `phosphene report` shows them.
    """
    with one_line_errors():
        from phosphene.evidence import Settings
        from phosphene.evidence import evaluate as evaluated

        asked = Settings(samples, sanity, seeds)
        there = Path(names[0]).is_dir()
        if not there and len(names) == 1 and not source.factory:
            raise BadInput(f"no folder {names[0]!r}; expected the --out folder of `phosphene map`, or MODEL CONCEPT...")
        model, concepts = (None, names) if source.factory and not there else (names[0], names[1:])
        if there:
            model = None if source.factory else _maker(Path(names[0]))
        classifier = source.load(model)
        others = load_verifiers(verifier)
        folder = Path(names[0]) if there else out
        with progress(quiet=as_json) as bar:
            watcher = _watcher(bar, quiet=as_json)
            if not there:
                from phosphene.runs.make import make_maps

                make_maps(classifier, concepts, recipe_from(preset, seed=seed), out=folder, callbacks=watcher.making)
            record = evaluated(folder, classifier, concepts=concepts, verifiers=others, settings=asked, watcher=watcher)
        if as_json:
            typer.echo(json.dumps(_told(folder, record), indent=2))
        else:
            _print(record)
            typer.echo(f"evidence of {len(record['maps'])} maps in {folder}; `phosphene report {folder}` shows it")


def _maker(folder: Path) -> str:
    """The model that made the maps of a folder, by the name in the first of them."""
    from phosphene.runs.saliency import SaliencyMap
    from phosphene.runs.store import artifact_paths

    return str(SaliencyMap.load(artifact_paths(folder)[0]).model.name)


def _watcher(bar: Progress, *, quiet: bool) -> Watcher:
    from phosphene.evidence import Watcher

    task = bar.add_task("maps examined", total=None, rate="", visible=False)

    def examined(concept: str, place: int, total: int) -> None:
        bar.update(task, completed=place, total=total, rate=concept, visible=True)

    return Watcher(examined=examined, warned=warned, making=listener_on(bar, quiet=quiet))


def _told(folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    """The record of the run with every map's own scores."""
    from phosphene.runs.saliency import SaliencyMap

    maps = [{**entry, "evidence": SaliencyMap.load(folder / entry["file"]).scores.evidence}
            for entry in record["maps"]]  # fmt: skip
    return {**record, "maps": maps}


def _print(record: dict[str, Any]) -> None:
    """Every table of the run under its title, with its columns in line."""
    from phosphene.evidence.tables import tables
    from phosphene.evidence.wording import MEANINGS

    for name, table in tables(record).items():
        rows = [table.header, *([str(cell) for cell in row] for row in table.rows)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(table.header))]
        typer.echo(f"{MEANINGS[name].title}: {MEANINGS[name].asks}")
        for row in rows:
            typer.echo("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        typer.echo("")
