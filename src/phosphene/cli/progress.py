"""Progress on standard error: a bar with rate and time left, a line for each finished map, warnings."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from phosphene.recipe.concepts import Concept
    from phosphene.runs.callbacks import Callbacks
    from phosphene.runs.reference import MapReference


@contextmanager
def show_progress(*, quiet: bool) -> Iterator[Progress]:
    """A bar for the time inside, or none where there is no terminal. SIGTERM keeps finished work as Ctrl-C does."""
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
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal, transient=True) as bar:
        yield bar


def make_callbacks(bar: Progress, *, quiet: bool) -> Callbacks:
    """Passes on the bar and a line for each finished map; with `quiet` only warnings."""
    from phosphene.runs.callbacks import Callbacks

    task = bar.add_task("passes", total=None, rate="", visible=False)

    def start(maps: int, iterations: int) -> None:
        bar.reset(task, total=iterations, visible=iterations > 0)

    def advance(iterations: int) -> None:
        bar.update(task, advance=iterations, rate=_format_rate(bar, task))

    def finish(reference: MapReference) -> None:
        if not quiet:
            print_line(bar, describe_map(reference))

    return Callbacks(on_start=start, on_iterations=advance, on_finish=finish, on_warning=warn)


def _format_rate(bar: Progress, task: TaskID) -> str:
    speed = next(one.speed for one in bar.tasks if one.id == task)
    return f"{speed:.0f}/s" if speed else ""


def print_line(bar: Progress, line: str) -> None:
    """Print above the bar, as it stands: names may hold what rich takes for markup."""
    bar.console.print(line, highlight=False, markup=False, soft_wrap=True)


def warn(message: str) -> None:
    print(f"phosphene: {message}", file=sys.stderr)


def note_concepts(concepts: Sequence[Concept]) -> None:
    """Say on standard error what the name of a concept alone does not say."""
    from phosphene.recipe.concepts import describe_concept

    for concept in concepts:
        if (said := describe_concept(concept)) is not None:
            warn(said)


def describe_map(reference: MapReference) -> str:
    """One line: own fidelity, what each verifier takes the picture for, and the checks that were raised."""
    scores = reference.scores
    opinions = "".join(f", {opinion.model}: {opinion.top5[0].name}" for opinion in scores.opinions)
    checks = f"  [{', '.join(reference.checks)}]" if reference.checks else ""
    fidelity = f"fidelity {scores.fidelity.probability:.2f}, top-1 in {scores.fidelity.top1:.0%} of draws"
    return f"{reference.concept}: {fidelity}{opinions}{checks}"
