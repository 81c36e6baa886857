"""`phosphene evaluate`: the evidence of a folder of maps, or of maps that are made first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phosphene.cli.options import Json, RecipeOptions, Source, Verifiers, load_verifiers
from phosphene.cli.progress import make_callbacks, show_progress
from phosphene.cli.terminal import echo
from phosphene.core.text import make_one_line
from phosphene.errors import BadInput

if TYPE_CHECKING:
    from rich.progress import Progress

    from phosphene.evidence.results import Evaluation
    from phosphene.evidence.settings import EvaluationCallbacks
    from phosphene.evidence.table import Table


def run_evaluate(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="DIR|MODEL CONCEPT...",
            help="A folder of maps and, where not all are meant, which; or a model and what to make maps of first.",
        ),
    ],
    verifier: Verifiers = None,
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
    from phosphene.evidence.evaluation import evaluate
    from phosphene.evidence.settings import Settings
    from phosphene.runs.make import make_maps

    settings = Settings(samples, sanity, seeds)
    finished = Path(names[0]).is_dir()
    model, concepts = split_names(names, finished, source)
    classifier = source.load(model)
    verifiers = load_verifiers(verifier)
    folder = Path(names[0]) if finished else out
    with show_progress(quiet=as_json) as bar:
        callbacks = make_evaluation_callbacks(bar, quiet=as_json)
        if not finished:
            recipe = RecipeOptions(preset, seed).build()
            make_maps(classifier, concepts, recipe, out=folder, callbacks=callbacks)
        evaluation = evaluate(
            folder, classifier, concepts=concepts, verifiers=verifiers, settings=settings, callbacks=callbacks
        )
    print_evidence(folder, evaluation, as_json=as_json)


def split_names(names: list[str], finished: bool, source: Source) -> tuple[str | None, list[str]]:
    """The model, None where a factory builds it, and the concepts; `finished` maps say themselves who made them."""
    if not finished and len(names) == 1 and not source.factory:
        raise BadInput(f"no folder {names[0]!r}; expected the --out folder of `phosphene map`, or MODEL CONCEPT...")
    if source.factory:
        return None, names[1:] if finished else names
    return read_model_name(Path(names[0])) if finished else names[0], names[1:]


def read_model_name(folder: Path) -> str:
    """The model that made the maps of a folder, by the name in the first of them."""
    from phosphene.runs.saliency import SaliencyMap
    from phosphene.runs.store import artifact_paths

    return SaliencyMap.load(artifact_paths(folder)[0]).model.name


def make_evaluation_callbacks(bar: Progress, *, quiet: bool) -> EvaluationCallbacks:
    """Show the map that is measured on the bar, and the making of further maps as `phosphene map` does."""
    from phosphene.evidence.settings import EvaluationCallbacks

    task = bar.add_task("maps measured", total=None, rate="", visible=False)

    def show_map(concept: str, index: int, total: int) -> None:
        bar.update(task, completed=index, total=total, rate=make_one_line(concept), visible=True)

    return EvaluationCallbacks(on_measure=show_map, **vars(make_callbacks(bar, quiet=quiet)))


def print_evidence(folder: Path, evaluation: Evaluation, *, as_json: bool) -> None:
    if as_json:
        echo(json.dumps(add_scores(folder, evaluation.to_json()), indent=2))
    else:
        print_tables(evaluation)
        echo(f"evidence of {len(evaluation.maps)} maps in {folder}; `phosphene report {folder}` shows it")


def add_scores(folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    """The record of the run with every map's own scores."""
    from phosphene.runs.saliency import SaliencyMap

    evidence = [SaliencyMap.load(folder / entry["file"]).scores.evidence for entry in record["maps"]]
    maps = [{**entry, "evidence": one} for entry, one in zip(record["maps"], evidence, strict=True)]
    return {**record, "maps": maps}


def print_tables(evaluation: Evaluation) -> None:
    """Every table of the run under its title."""
    from phosphene.evidence.results import make_results

    for result in make_results(evaluation).values():
        echo(f"{result.measure.title}: {result.measure.question}")
        echo(format_table(result.table) + "\n")


def format_table(table: Table) -> str:
    """The table with its columns in line."""
    rows = [list(table.header), *([str(cell) for cell in row] for row in table.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(f"  {line}".rstrip() for line in lines)
