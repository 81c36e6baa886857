"""Progress on standard error: a bar with rate and time left, a line for each finished map, warnings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from phosphene.cli.terminal import warn
from phosphene.core.text import make_one_line

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from phosphene.recipe.concepts import Concept
    from phosphene.runs.callbacks import Callbacks
    from phosphene.runs.reference import MapReference


@contextmanager
def show_progress(*, quiet: bool) -> Iterator[Progress]:
    """A bar for the time inside, or none where there is no terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}", markup=False),
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
    bar.console.print(make_one_line(line), highlight=False, markup=False, soft_wrap=True)


def note_concepts(concepts: Sequence[Concept]) -> None:
    """Say on standard error what the name of a concept alone does not say."""
    from phosphene.recipe.concepts import describe_concept

    for concept in concepts:
        if (said := describe_concept(concept)) is not None:
            warn(said)


def describe_map(reference: MapReference) -> str:
    """One line: own fidelity, what each verifier predicts for the picture, and the checks that were raised."""
    from phosphene.runs.wording import describe_picture, name_fidelity

    scores = reference.scores
    words, picture = name_fidelity(scores, reference.output_kind), describe_picture(scores)
    opinions = "".join(f", {opinion.model}: {opinion.top5[0].name}" for opinion in scores.opinions)
    checks = f"  [{', '.join(reference.checks)}]" if reference.checks else ""
    first = "fidelity" if words[0] == "probability" else words[0]
    fidelity = f"{first} {scores.fidelity.probability:.2f}, {words[1]} in {scores.fidelity.top1:.0%} of draws"
    return f"{reference.concept}: {fidelity}{'' if picture is None else f'; {picture}'}{opinions}{checks}"
