"""How independent jobs are run: an executor runs them and yields their results in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from phosphene.runs.jobs import Job, JobResult
from phosphene.runs.open_models import OpenModels


class Executor(Protocol):
    """Where the jobs run decides how long they take, never what comes out."""

    @property
    def in_process(self) -> bool:
        """Whether the jobs see the models of this process, so that none has to be opened by its reference."""

    def run(self, jobs: Sequence[Job], models: OpenModels, on_iterations: Callable[[int], None]) -> Iterator[JobResult]:
        """The result of each job, in order. `models` are open in this process; `on_iterations` is called with the
        number of maps that have gone through another iteration, or with all iterations of a job at its end."""
