"""How independent jobs are run: an executor runs them and yields their results in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from phosphene.runs.jobs import JobResult
from phosphene.runs.open_models import OpenModels


class Task(Protocol):
    """What an executor runs: a job of maps, or another that can be pickled and writes its own files."""

    @property
    def keep_going(self) -> bool:
        """Whether a failure is told of in the result and is no error."""

    @property
    def iterations(self) -> int:
        """What the task counts for in the progress of all."""

    def run(self, models: OpenModels, on_iterations: Callable[[int], None]) -> JobResult:
        """Do it, in whatever process."""

    def split(self) -> tuple[list[Any], JobResult]:
        """What is left of a task that kills whoever runs it, and what has failed."""

    def describe(self) -> str:
        """What it makes, by name."""


class Executor(Protocol):
    """Where the jobs run decides how long they take, never what comes out."""

    @property
    def in_process(self) -> bool:
        """Whether the jobs see the models of this process, so that none has to be opened by its reference."""

    def run(
        self, jobs: Sequence[Task], models: OpenModels, on_iterations: Callable[[int], None]
    ) -> Iterator[JobResult]:
        """The result of each job, in order. `models` are open in this process; `on_iterations` is called with the
        number of maps that have gone through another iteration, or with all iterations of a job at its end."""
