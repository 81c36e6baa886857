"""The command line: thin, over the library.

Errors of the user print one line and exit with 2. Nothing heavy is imported before a command runs.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phosphene.cli.calibrate import calibrate
from phosphene.cli.common import (
    Json,
    Source,
    Verifier,
    load_verifiers,
    maps_listener,
    one_line_errors,
    recipe_from,
    with_source,
)
from phosphene.cli.evaluate import evaluate
from phosphene.cli.scan import scan
from phosphene.cli.study import study_app
from phosphene.errors import BadInput

if TYPE_CHECKING:
    from phosphene.recipe.recipe import Recipe
    from phosphene.runs.saliency import SaliencyMap

app = typer.Typer(
    help="See what an image classifier sees when it is shown nothing.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(with_source(evaluate))
app.command()(with_source(scan))
app.command()(with_source(calibrate, without=("weights",)))
app.add_typer(study_app, name="study")

MALLOC_TRIM_THRESHOLD, MALLOC_MMAP_THRESHOLD = -1, -3  # numbers of glibc's mallopt(3)


@app.command("map")
@with_source
def map_command(
    names: Annotated[list[str], typer.Argument(metavar="MODEL CONCEPT...", help="A model and what to ask it for.")],
    preset: Annotated[str, typer.Option(help="default, fast, best or paper.")] = "default",
    seed: Annotated[int, typer.Option(help="Seed of every random draw.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for the maps; finished ones in it are kept.")] = Path(
        "phosphene-maps"
    ),
    iterations: Annotated[int | None, typer.Option(help="Iterations, instead of the preset's.")] = None,
    distribution: Annotated[
        str | None, typer.Option(help="What the map is shown on; `folder:PATH` uses photographs.")
    ] = None,
    geometry: Annotated[str | None, typer.Option(help="pixel or spectral.")] = None,
    views: Annotated[str | None, typer.Option(help="How the map is moved: all, shift, zoom, rotation or none.")] = None,
    composition: Annotated[str | None, typer.Option(help="How the map is put into a sample: logit or clip.")] = None,
    score: Annotated[str | None, typer.Option(help="logit, log_probability or margin.")] = None,
    samples: Annotated[int | None, typer.Option(help="Samples an iteration, instead of the preset's.")] = None,
    nudge_steps: Annotated[int | None, typer.Option(help="Steps that each data point walks in an iteration.")] = None,
    restarts: Annotated[
        int | None, typer.Option(help="Starts of a map that the model does not see; the surest is kept.")
    ] = None,
    coarse: Annotated[
        float | None, typer.Option(help="First share of the iterations on images of half the side; 0 for none.")
    ] = None,
    verifier: Verifier = None,
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

    A concept is a class name, an index, a comma list (any of these), @FILE (a list), or a sum such as
    "tabby - tiger cat" or "0.5 * zebra + sorrel"; or LAYER:CHANNEL, such as blocks.4:37.
    With --factory, MODEL is left out.
    """
    with one_line_errors():
        model, concepts = (None, names) if source.factory else (names[0], names[1:])
        recipe = recipe_from(preset, distribution, geometry, views, seed=seed, iterations=iterations, score=score,
                         composition=composition, samples=samples, nudge_steps=nudge_steps,
                         restarts=restarts, coarse=coarse)  # fmt: skip
        classifier = source.load(model)
        with maps_listener(quiet=as_json) as listener:
            from phosphene.runs.executors import Processes, Serial
            from phosphene.runs.make import make_maps

            executor = Processes(workers) if workers > 1 else Serial()
            maps = make_maps(classifier, concepts, recipe, out=out, overwrite=overwrite, executor=executor,
                             verifiers=load_verifiers(verifier), callbacks=listener)  # fmt: skip
        if gif:
            _write_gifs(maps, out)
        if as_json:
            typer.echo(json.dumps([_summary(saliency, out) for saliency in maps], indent=2))
        else:
            typer.echo(f"{len(maps)} maps in {out}; `phosphene report {out}` makes the page to read them")


@app.command()
def report(
    source: Annotated[
        Path,
        typer.Argument(metavar="FOLDER|SCAN", help="The --out folder of `phosphene map`, or the JSON of a scan."),
    ],
    as_json: Json = False,
) -> None:
    """Write the page to read a result: FOLDER/report.html of maps, SCAN.html of a scan. One file, no network."""
    with one_line_errors():
        from phosphene.report import write_report

        path = _scan_page(source) if source.is_file() else write_report(source)
        typer.echo(json.dumps({"report": str(path)}) if as_json else f"report: {path.resolve()}")


def _scan_page(record: Path) -> Path:
    from phosphene.report.scan import write_scan_report
    from phosphene.scanner.record import Scan

    return write_scan_report(Scan.load(record), record.with_suffix(".html"))


@app.command()
def show(
    file: Annotated[Path, typer.Argument(help="A .safetensors map.")],
    as_json: Json = False,
) -> None:
    """Print the recipe and the scores of one map."""
    with one_line_errors():
        from phosphene.runs.saliency import SaliencyMap

        saliency = SaliencyMap.load(file)
        if as_json:
            facts = (
                "concept",
                "index",
                "targets",
                "model",
                "recipe",
                "scores",
                "checks",
                "versions",
                "passes",
                "seconds",
            )
            typer.echo(json.dumps({name: getattr(saliency, name) for name in facts}, indent=2))
        else:
            _print_map(saliency)


@app.command("list")
@with_source
def list_command(
    what: Annotated[
        str,
        typer.Argument(help="models, concepts, layers, distributions, views, geometries, scores, presets or checks."),
    ],
    model: Annotated[str | None, typer.Argument(help="The model whose concepts are listed.")] = None,
    *,
    source: Source,
    as_json: Json = False,
) -> None:
    """List what can be chosen."""
    with one_line_errors():
        if what in ("concepts", "layers"):
            from phosphene.model.readout import count_channels

            classifier = source.load(model)
            widths = count_channels(classifier) if what == "layers" else {}
            rows = {layer: f"{width} channels" for layer, width in widths.items()} or {
                str(index): label for index, label in enumerate(classifier.labels)
            }
        else:
            rows = _choices(what)
        typer.echo(
            json.dumps(rows, indent=2) if as_json else "\n".join(f"{name:20} {text}" for name, text in rows.items())
        )


def main() -> None:
    """Entry point of the `phosphene` command."""
    _keep_freed_memory()
    app()


def _keep_freed_memory() -> None:
    """Have glibc reuse large blocks instead of returning each to the kernel, which clears it anew every iteration.

    It takes a fifth off the seconds of a map (`python -m benchmarks.overhead`). Done here, not in the library: how a
    process allocates is for its owner to say. Elsewhere than on glibc nothing happens.
    """
    import ctypes

    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        mallopt(MALLOC_MMAP_THRESHOLD, 1 << 30)
        mallopt(MALLOC_TRIM_THRESHOLD, (1 << 31) - 1)


def _choices(what: str) -> dict[str, str]:
    """Names and one line of explanation of one registry."""
    from phosphene.model.checks import CHECKS
    from phosphene.model.sources.registry import known_models
    from phosphene.recipe.concepts import SCORES
    from phosphene.recipe.distributions import DISTRIBUTIONS
    from phosphene.recipe.geometries import GEOMETRIES
    from phosphene.recipe.recipe import PRESETS
    from phosphene.recipe.views import VIEWS

    lists: dict[str, Callable[[], dict[str, str]]] = {
        "models": known_models,
        "distributions": lambda: {name: _first_line(kind) for name, kind in DISTRIBUTIONS.items()},
        "geometries": lambda: {name: _first_line(kind) for name, kind in GEOMETRIES.items()},
        "views": lambda: {name: str(kind) for name, kind in VIEWS.items()},
        "scores": lambda: {name: _first_line(kind) for name, kind in SCORES.items()},
        "presets": lambda: {name: _described(recipe) for name, recipe in PRESETS.items()},
        "checks": lambda: {name: f"raised if {check.raised_if}" for name, check in CHECKS.items()},
    }
    if what not in lists:
        raise BadInput(f"cannot list {what!r}; expected concepts, layers, {', '.join(lists)}")
    return lists[what]()


def _summary(saliency: SaliencyMap, out: Path) -> dict[str, Any]:
    from phosphene.runs.store import artifact_path

    path = artifact_path(out, saliency.concept)
    return {
        "concept": saliency.concept, "index": saliency.index, "path": str(path),
        "picture": str(path.with_suffix(".png")), "passes": saliency.passes, "seconds": saliency.seconds,
        "fidelity": saliency.scores["fidelity"], "refined_fidelity": saliency.scores.refined_fidelity,
        "top5": saliency.scores.top5, "verifiers": saliency.scores.opinions,
        "checks": list(saliency.checks),
    }  # fmt: skip


def _write_gifs(maps: list[SaliencyMap], out: Path) -> None:
    from phosphene.core.files import write_atomically
    from phosphene.report.pictures import gif_bytes
    from phosphene.runs.store import artifact_path

    for saliency in maps:
        write_atomically(artifact_path(out, saliency.concept).with_suffix(".gif"), gif_bytes(saliency.development))


def _print_map(saliency: SaliencyMap) -> None:
    from phosphene.evidence.results import make_map_table

    scores = saliency.scores
    rows: dict[str, Any] = {
        "concept": saliency.concept,
        "classes": ", ".join(map(str, saliency.targets)),
        "model": f"{saliency.model.name} {saliency.model.fingerprint[:12]}",
        "passes": f"{saliency.passes} in {saliency.seconds} s",
        "checks": ", ".join(saliency.checks) or "none raised",
    }
    for name, value in scores["fidelity"].items():
        rows[f"fidelity {name}"] = f"p {value['probability']:.3f}, top-1 {value['top1']:.0%}"
    refined = scores.refined_fidelity
    rows["fidelity refined"] = f"p {refined['probability']:.3f}, top-1 {refined['top1']:.0%}"
    rows["top-5"] = ", ".join(f"{seen['name']} {seen['probability']:.2f}" for seen in scores.top5)
    for seen in scores.opinions:
        rows[seen["model"]] = ", ".join(f"{top['name']} {top['probability']:.2f}" for top in seen["top5"])
    for name, value, beside in make_map_table(scores.evidence).rows:
        rows[name.text] = f"{value.text} ({beside.text})"
    rows |= {f"recipe {name}": value for name, value in saliency.recipe.items()}
    typer.echo("\n".join(f"{name:24} {value}" for name, value in rows.items()))


def _first_line(documented: Any) -> str:
    return (documented.__doc__ or "").strip().splitlines()[0]


def _described(recipe: Recipe) -> str:
    kind = type(recipe.geometry).__name__.lower()
    return (f"{recipe.iterations} iterations, {kind} geometry, {recipe.composition} composition, {recipe.score} score, "
            f"step {recipe.step}, {type(recipe.distribution).__name__.lower()} distribution")  # fmt: skip
