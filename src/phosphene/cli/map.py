"""`phosphene map`: the input-agnostic saliency map of each concept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phosphene.cli.beside import load_beside, run_beside
from phosphene.cli.options import Json, RecipeOptions, Source, Verifiers, load_verifiers
from phosphene.cli.progress import make_callbacks, note_concepts, show_progress
from phosphene.cli.terminal import echo

if TYPE_CHECKING:
    from phosphene.runs.reference import MapReference


def run_map(
    names: Annotated[list[str], typer.Argument(metavar="MODEL CONCEPT...", help="A model and what to ask it for.")],
    recipe: RecipeOptions,
    out: Annotated[Path, typer.Option(help="Folder for the maps; finished ones in it are kept.")] = Path(
        "phosphene-maps"
    ),
    verifier: Verifiers = None,
    beside: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL",
            help="Another model that is asked the same; with options of its own in one quoted text: "
            '"timm:resnet18 --weights mine.safetensors".',
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes that share the work; 1 is best on a small machine.")
    ] = 1,
    gif: Annotated[bool, typer.Option("--gif", help="Also write the map's development as <concept>.gif.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace maps that another recipe or model made.")
    ] = False,
    *,
    source: Source,
    as_json: Json = False,
) -> None:
    """Make the input-agnostic saliency map of each CONCEPT for MODEL.

    A concept is a class name, an index, a comma list (any of these), @FILE (a list), a superclass such as dog, or a sum
    such as "tabby - tiger cat" or "0.5 * zebra + sorrel"; LAYER:CHANNEL, such as blocks.4:37, with @Y,X for one neuron;
    LAYER:@FILE, a direction, or "LAYER:@FOLDER vs @FOLDER", the one that tells their images apart; a text, for
    clip:NAME.
    MODEL is a name (`phosphene list models`), or the path of a file or folder that holds a model; with --factory it
    is left out.

    With --beside, which may be given several times, other models are asked the same: their maps go into subfolders, the
    models judge each other's pictures where their classes are the same, and `phosphene report` shows all side by side.
    A concept that a model does not have stops nothing; it is named, and the exit code is then 3.
    """
    from phosphene.runs.callbacks import noop
    from phosphene.runs.executors.registry import choose_executor
    from phosphene.runs.make import fit_recipe, make, parse_concepts

    model, asked = (None, names) if source.factory else (names[0], names[1:])
    classifier = source.load(model)
    if beside:
        options = {"verifiers": load_verifiers(verifier), "executor": choose_executor(workers), "overwrite": overwrite}
        on_map = write_gif if gif else noop
        models = [classifier, *load_beside(beside)]
        run_beside(models, asked, recipe.build(), out, on_map=on_map, as_json=as_json, **options)
        return
    chosen = fit_recipe(recipe.build(), classifier)
    concepts = parse_concepts(classifier, asked, chosen)
    note_concepts(concepts)
    references: dict[str, MapReference] = {}
    with show_progress(quiet=as_json) as bar:
        for reference in make(
            classifier,
            concepts,
            chosen,
            out,
            overwrite=overwrite,
            verifiers=load_verifiers(verifier),
            executor=choose_executor(workers),
            callbacks=make_callbacks(bar, quiet=as_json),
        ):
            references[reference.concept] = reference
            if gif:
                write_gif(reference)
    print_maps([references[concept.name] for concept in concepts], out, as_json=as_json)


def write_gif(reference: MapReference) -> None:
    """The map's development beside its picture."""
    from phosphene.core.files import write_atomically
    from phosphene.report.pictures import gif_bytes

    write_atomically(reference.path.with_suffix(".gif"), gif_bytes(reference.load().development))


def print_maps(references: Sequence[MapReference], out: Path, *, as_json: bool) -> None:
    if as_json:
        echo(json.dumps([summarize_map(reference) for reference in references], indent=2))
    else:
        echo(f"{len(references)} maps in {out}; `phosphene report {out}` makes the page to read them")


def summarize_map(reference: MapReference) -> dict[str, Any]:
    """What `--json` prints of one map."""
    from phosphene.core.records import to_plain

    scores = to_plain(reference.scores)
    shown = ("fidelity", "fidelity_elsewhere", "refined_fidelity", "bare_pictures", "top5", "opinions", "restarts")
    return {
        "concept": reference.concept,
        "index": reference.index,
        "path": str(reference.path),
        "picture": str(reference.picture),
        "passes": reference.passes,
        "seconds": reference.seconds,
        **{name: scores[name] for name in shown},
        "checks": list(reference.checks),
    }
