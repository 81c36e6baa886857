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
)
from phosphene.errors import BadInput

if TYPE_CHECKING:
    from rich.progress import Progress

    from phosphene.evidence.results import Evaluation
    from phosphene.evidence.settings import EvaluationCallbacks


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
        from phosphene.evidence.evaluation import evaluate as measure_evidence
        from phosphene.evidence.settings import Settings

        settings = Settings(samples, sanity, seeds)
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
            callbacks = _make_callbacks(bar, quiet=as_json)
            if not there:
                from phosphene.runs.make import make_maps

                make_maps(classifier, concepts, recipe_from(preset, seed=seed), out=folder, callbacks=callbacks)
            evaluation = measure_evidence(
                folder, classifier, concepts=concepts, verifiers=others, settings=settings, callbacks=callbacks
            )
        if as_json:
            typer.echo(json.dumps(_to_json(folder, evaluation), indent=2))
        else:
            _print_results(evaluation)
            typer.echo(f"evidence of {len(evaluation.maps)} maps in {folder}; `phosphene report {folder}` shows it")


def _maker(folder: Path) -> str:
    """The model that made the maps of a folder, by the name in the first of them."""
    from phosphene.runs.saliency import SaliencyMap
    from phosphene.runs.store import artifact_paths

    return str(SaliencyMap.load(artifact_paths(folder)[0]).model.name)


def _make_callbacks(bar: Progress, *, quiet: bool) -> EvaluationCallbacks:
    """Show the map that is measured on the bar, and the making of further maps as `phosphene map` does."""
    from phosphene.evidence.settings import EvaluationCallbacks

    task = bar.add_task("maps measured", total=None, rate="", visible=False)

    def show_map(concept: str, index: int, total: int) -> None:
        bar.update(task, completed=index, total=total, rate=concept, visible=True)

    return EvaluationCallbacks(on_measure=show_map, **vars(listener_on(bar, quiet=quiet)))


def _to_json(folder: Path, evaluation: Evaluation) -> dict[str, Any]:
    """The content of `evidence.json` with every map's own scores."""
    from phosphene.runs.saliency import SaliencyMap

    record = evaluation.to_json()
    maps = [{**entry, "evidence": SaliencyMap.load(folder / entry["file"]).scores.evidence} for entry in record["maps"]]
    return {**record, "maps": maps}


def _print_results(evaluation: Evaluation) -> None:
    """Every table of the run under its title, with its columns in line."""
    from phosphene.evidence.results import make_results

    for result in make_results(evaluation).values():
        rows = [result.table.header, *([str(cell) for cell in row] for row in result.table.rows)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        typer.echo(f"{result.measure.title}: {result.measure.question}")
        for row in rows:
            typer.echo("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        typer.echo("")
