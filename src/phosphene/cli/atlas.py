"""`phosphene atlas`: every class of a model, in one run that can be resumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phosphene.cli.errors import SOME_FAILED, Verdict
from phosphene.cli.options import Json, RecipeOptions, Source, Verifiers, choose, load_verifiers
from phosphene.cli.pace import make_atlas_callbacks
from phosphene.cli.progress import show_progress
from phosphene.cli.terminal import echo, warn
from phosphene.core.durations import format_time
from phosphene.errors import BadInput

if TYPE_CHECKING:
    from phosphene.atlas.plan import CostPlan
    from phosphene.atlas.record import Atlas
    from phosphene.runs.executors.executor import Executor


def run_atlas(
    recipe: RecipeOptions,
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="The model; with --factory it is left out.")
    ] = None,
    classes: Annotated[
        str,
        typer.Option(
            help="all, a range such as 0-99, a family such as dog, names, or a file with one of these a line."
        ),
    ] = "all",
    out: Annotated[Path, typer.Option(help="Folder for the maps; finished ones in it are kept.")] = Path(
        "phosphene-atlas"
    ),
    verifier: Verifiers = None,
    executor: Annotated[
        str | None, typer.Option(help="serial, processes or ray; by default processes where there are workers.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Jobs at a time; by default one for each core.")] = None,
    threads: Annotated[
        int, typer.Option(min=1, help="Threads of each worker; maps are the same, bit for bit, for the same number.")
    ] = 1,
    address: Annotated[str | None, typer.Option(help="For ray: a running cluster, such as auto or HOST:PORT.")] = None,
    keep: Annotated[
        str,
        typer.Option(
            help="What is kept beside map, importance and mask: all, none, or some of pictures,development,png."
        ),
    ] = "png",
    precision: Annotated[
        str, typer.Option(help="half: two bytes a number of a map and one of its masks; single: four.")
    ] = "half",
    plan: Annotated[
        bool, typer.Option("--plan", help="Measure one batch and say what the whole takes; make nothing.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace maps that another recipe or model made.")
    ] = False,
    *,
    source: Source,
    as_json: Json = False,
) -> None:
    """Make the map of every class of MODEL, and atlas.json with the scores of all.

    The same command goes on after an interruption, of whatever kind. A class that fails stops no other: it is named at
    the end, and the exit code is then 3. `phosphene gallery` makes the wall to look at.
    """
    import torch

    from phosphene.atlas.classes import choose_classes
    from phosphene.atlas.plan import count_cores, plan_atlas
    from phosphene.atlas.run import make_atlas
    from phosphene.runs.make import fit_recipe
    from phosphene.runs.storage import parse_storage

    if model is None and not source.factory:
        raise BadInput("no model given; expected a name of `phosphene list models`, a path, or --factory")
    storage = parse_storage(keep, halved=choose({"half": True, "single": False}, precision, "precision"))
    if address is not None and workers is not None:
        raise BadInput(f"--workers is {workers}, but a cluster at --address decides itself; leave one of them out")
    workers = workers or (1 if executor == "serial" else count_cores())
    where = choose_where(executor, workers, address)
    torch.set_num_threads(threads)
    classifier, verifiers = source.load(model), load_verifiers(verifier)
    chosen = fit_recipe(recipe.build(), classifier)
    concepts = choose_classes(classifier, classes, chosen)
    options: dict[str, Any] = {"out": out, "verifiers": verifiers, "storage": storage}
    if plan:
        print_plan(plan_atlas(classifier, concepts, chosen, workers=workers, **options), as_json=as_json)
        return
    with show_progress(quiet=as_json) as bar:
        callbacks, on_survey = make_atlas_callbacks(bar, len(concepts), quiet=as_json)
        options |= {"callbacks": callbacks, "on_survey": on_survey}
        atlas = make_atlas(classifier, concepts, chosen, executor=where, overwrite=overwrite, **options)
    print_atlas(atlas, out, as_json=as_json)
    if atlas.failures:
        raise Verdict(SOME_FAILED)


def choose_where(name: str | None, workers: int, address: str | None) -> Executor:
    """The executor of that name; raises `BadInput` where an option does not fit it."""
    from phosphene.runs.executors.registry import EXECUTORS, choose_executor

    if address is not None and name != "ray":
        raise BadInput(f"--address is {address!r}, which is for --executor ray only; leave it out or add that")
    if name == "serial" and workers > 1:
        raise BadInput(f"--workers is {workers}, and --executor serial has one; leave one of them out")
    if name is None:
        return choose_executor(workers)
    make = choose(EXECUTORS, name, "executor")
    if name == "serial":
        return make()
    return make(workers, address) if name == "ray" else make(workers)


def print_plan(plan: CostPlan, *, as_json: bool) -> None:
    if as_json:
        totals = ("total_seconds", "total_bytes", "total_memory")
        echo(json.dumps({**vars(plan), **{name: getattr(plan, name) for name in totals}}, indent=2))
        return
    shared = f"; {plan.workers} workers share them" if plan.workers > plan.cores else ""
    echo(
        f"measured: {plan.measured} classes in one process: {plan.seconds:.2f} s, {plan.passes:.0f} passes and "
        f"{plan.bytes / 1e6:.2f} MB a class\n"
        f"time:     {plan.classes} classes: {format_time(plan.seconds * plan.classes)} with one worker, "
        f"{format_time(plan.total_seconds)} with {plan.parallel} ({plan.cores} cores here{shared})\n"
        f"disk:     {format_bytes(plan.total_bytes)} of {format_bytes(plan.free_disk)} that are free\n"
        f"memory:   {format_bytes(plan.total_memory)} of {format_bytes(plan.free_memory)} that are free, "
        f"{format_bytes(plan.memory)} a process"
    )
    for what, need, free in (
        ("disk", plan.total_bytes, plan.free_disk),
        ("memory", plan.total_memory, plan.free_memory),
    ):
        if need > free:
            warn(f"that is more {what} than is free; use fewer workers or classes, or another machine")


def format_bytes(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def print_atlas(atlas: Atlas, out: Path, *, as_json: bool) -> None:
    """The atlas in three lines, and the classes that failed with their reasons."""
    from phosphene.atlas.record import FILE_NAME
    from phosphene.atlas.summary import summarize

    summary, failed = summarize(atlas), [vars(failure) for failure in atlas.failures]
    if as_json:
        echo(json.dumps({"atlas": str(out / FILE_NAME), **summary, "failures": failed}, indent=2))
        return
    echo(", ".join(f"{name} {value}" for name, value in summary.items()))
    for failure in atlas.failures:
        warn(f"{failure.concept} failed: {failure.reason}")
    if atlas.failures:
        warn(f"{len(atlas.failures)} classes failed; the same command tries them again")
    echo(f"{len(atlas.classes)} classes in {out}; `phosphene gallery {out}` makes the wall to look at")
