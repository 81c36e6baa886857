"""What the commands share: options that load a model, errors in one line, progress."""

from __future__ import annotations

import inspect
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phosphene.errors import BadInput, PhospheneError

if TYPE_CHECKING:
    from rich.progress import Progress

    from phosphene.model.classifier import Classifier
    from phosphene.recipe.recipe import Recipe
    from phosphene.runs.callbacks import Callbacks
    from phosphene.runs.saliency import SaliencyMap

INTERRUPTED = 130

Verifier = Annotated[list[str] | None, typer.Option(help="Another model whose opinion stands beside the picture.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else there.")]


@dataclass(frozen=True)
class Source:
    """Where a model comes from beside its name: the options that all commands share which load one."""

    weights: Annotated[Path | None, typer.Option(help="A weights file: safetensors, or a torch state dict.")] = None
    factory: Annotated[str | None, typer.Option(help="pkg.mod:fn that builds the architecture, instead of MODEL.")] = (
        None
    )
    size: Annotated[int | None, typer.Option(help="Side of the input in pixels, where no record says it.")] = None
    channels: Annotated[int | None, typer.Option(help="Channels of the input, where no record says it.")] = None
    mean: Annotated[
        str | None, typer.Option(help="Mean of the normalisation, comma-separated, for images in [0,1].")
    ] = None
    std: Annotated[str | None, typer.Option(help="Standard deviation of the normalisation, comma-separated.")] = None
    labels: Annotated[Path | None, typer.Option(help="A file with the names of a class a line, comma-separated.")] = (
        None
    )
    trust_pickle: Annotated[
        bool, typer.Option("--trust-pickle", help="Load a full pickle, which may run its author's code.")
    ] = False

    def load(self, model: str | None) -> Classifier:
        from phosphene.model.sources.load import load

        return load(model, **{**vars(self), "mean": _numbers("--mean", self.mean), "std": _numbers("--std", self.std)})


def with_source(command: Callable[..., None], *, without: Sequence[str] = ()) -> Callable[..., None]:
    """The command with its parameter `source` spread into one option a field of `Source`, which is all typer knows."""
    own = inspect.signature(command, eval_str=True).parameters
    shared = {name: one for name, one in inspect.signature(Source, eval_str=True).parameters.items()
              if name not in without}  # fmt: skip
    parts = [shared.values() if name == "source" else (parameter,) for name, parameter in own.items()]
    spread = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for part in parts for parameter in part]

    @wraps(command)
    def run(**given: Any) -> None:
        source = Source(**{name: given.pop(name) for name in shared})
        command(**given, source=source)

    run.__signature__ = inspect.Signature(spread)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in spread}
    return run


def recipe_from(
    preset: str, distribution: str | None = None, geometry: str | None = None, views: str | None = None, **plain: Any
) -> Recipe:
    """The preset with the options that were given."""
    from phosphene.recipe.distributions import DISTRIBUTIONS, Folder
    from phosphene.recipe.geometries import GEOMETRIES
    from phosphene.recipe.recipe import PRESETS
    from phosphene.recipe.views import VIEWS

    recipe: Recipe = chosen(PRESETS, preset, "preset")
    changes = {name: value for name, value in plain.items() if value is not None}
    if distribution is not None and distribution.startswith("folder:"):
        changes["distribution"] = Folder(distribution.removeprefix("folder:"))
    elif distribution is not None:
        changes["distribution"] = chosen(DISTRIBUTIONS, distribution, "distribution")()
    if views is not None:
        changes["views"] = chosen(VIEWS, views, "views")
    if geometry is not None and not isinstance(recipe.geometry, chosen(GEOMETRIES, geometry, "geometry")):
        changes["geometry"] = GEOMETRIES[geometry]()
    return replace(recipe, **changes)


def chosen(registry: Any, name: str, what: str) -> Any:
    if name not in registry:
        raise BadInput(f"no {what} is called {name!r}; expected one of {', '.join(registry)}")
    return registry[name]


def load_verifiers(names: list[str] | None) -> list[Classifier]:
    from phosphene.model.sources.load import load

    return [load(name).fold() for name in names or ()]


def _numbers(option: str, text: str | None) -> list[float] | None:
    try:
        return None if text is None else [float(part) for part in text.split(",")]
    except ValueError:
        raise BadInput(f"{option} is {text!r}; expected numbers separated by commas, such as 0.5,0.5,0.5") from None


@contextmanager
def one_line_errors() -> Iterator[None]:
    """The one place where errors become a line and an exit code."""
    try:
        yield
    except PhospheneError as error:
        typer.echo(f"phosphene: {' '.join(str(error).split())}", err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        typer.echo("phosphene: interrupted; finished maps are kept, the same command goes on from here", err=True)
        raise typer.Exit(INTERRUPTED) from None


@contextmanager
def progress(*, quiet: bool) -> Iterator[Progress]:
    """A bar with rate and time left on standard error, or nothing; a polite kill keeps finished work as Ctrl-C does."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"),
               TimeElapsedColumn(), TimeRemainingColumn())  # fmt: skip
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal, transient=True) as bar:
        yield bar


def listener_on(bar: Progress, *, quiet: bool) -> Callbacks:
    """Shows passes on the bar and a line for each finished map; with `quiet` only warnings."""
    from phosphene.runs.callbacks import Callbacks

    task = bar.add_task("passes", total=None, rate="", visible=False)

    def iterated(maps: int) -> None:
        speed = next(one.speed for one in bar.tasks if one.id == task)
        bar.update(task, advance=maps, rate=f"{speed:.0f}/s" if speed else "")

    def finished(saliency: SaliencyMap, path: Path | None) -> None:
        if not quiet:
            bar.console.print(_line(saliency), highlight=False, markup=False, soft_wrap=True)

    def planned(maps: int, passes: int) -> None:
        bar.reset(task, total=passes, visible=passes > 0)

    return Callbacks(on_start=planned, on_iterations=iterated, finished=finished, warned=warned)


def warned(message: str) -> None:
    print(f"phosphene: {message}", file=sys.stderr)


@contextmanager
def maps_listener(*, quiet: bool) -> Iterator[Callbacks]:
    with progress(quiet=quiet) as bar:
        yield listener_on(bar, quiet=quiet)


def _line(saliency: SaliencyMap) -> str:
    own = saliency.scores.fidelity
    verifiers = "".join(f", {seen['model']}: {seen['top5'][0]['name']}" for seen in saliency.scores.opinions)
    raised = f"  [{', '.join(saliency.checks)}]" if saliency.checks else ""
    return (
        f"{saliency.concept}: fidelity {own['probability']:.2f}, top-1 in {own['top1']:.0%} of draws{verifiers}{raised}"
    )
