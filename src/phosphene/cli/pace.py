"""Progress of an atlas: each line says how many classes are done, how fast, and how much time is left."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from phosphene.cli.progress import describe_map, make_callbacks, print_line
from phosphene.cli.terminal import warn

if TYPE_CHECKING:
    from rich.progress import Progress

    from phosphene.runs.callbacks import Callbacks
    from phosphene.runs.failures import Failure
    from phosphene.runs.reference import MapReference


class Pace:
    """How many of the classes that were asked for are made, and how fast; `kept` were there before."""

    def __init__(self, asked: int) -> None:
        self.asked, self.kept, self.done, self.started = asked, 0, 0, 0.0

    def start(self, missing: int) -> None:
        self.kept, self.done, self.started = self.asked - missing, -(self.asked - missing), time.monotonic()

    def count(self) -> bool:
        """Count a finished or failed class; False for one that was there before."""
        self.done += 1
        return self.done > 0

    def describe(self) -> str:
        """`[12/1000, 0.80/s, 20 min left]`, of the pace since this run began."""
        seconds = max(time.monotonic() - self.started, 1e-3)
        left = (self.asked - self.kept - self.done) * seconds / max(self.done, 1)
        time_left = f"{left / 60:.0f} min" if left >= 90 else f"{left:.0f} s"
        return f"[{self.kept + self.done}/{self.asked}, {self.done / seconds:.2f}/s, {time_left} left]"


def make_atlas_callbacks(bar: Progress, asked: int, *, quiet: bool) -> tuple[Callbacks, Callable[[int], None]]:
    """Those of `make_callbacks` with the pace in each line; and what is called with the number of maps that were read
    at the end."""
    pace, inner = Pace(asked), make_callbacks(bar, quiet=quiet)
    task = bar.add_task("maps read", total=asked, rate="", visible=False)

    def start(maps: int, iterations: int) -> None:
        pace.start(maps)
        if maps < asked and not quiet:
            print_line(bar, f"{asked - maps} of {asked} classes are finished; going on with the rest")
        inner.on_start(maps, iterations)

    def finish(reference: MapReference) -> None:
        if pace.count() and not quiet:
            print_line(bar, f"{pace.describe()} {describe_map(reference)}")

    def fail(failure: Failure) -> None:
        pace.count()
        warn(f"{failure.concept} failed: {failure.reason}")

    def show_read(count: int) -> None:
        bar.update(task, completed=count, visible=True)

    return replace(inner, on_start=start, on_finish=finish, on_failure=fail), show_read
