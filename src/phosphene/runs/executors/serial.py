"""Jobs one after the other, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from phosphene.runs.executors.executor import Task
from phosphene.runs.jobs import JobResult
from phosphene.runs.open_models import OpenModels


@dataclass(frozen=True)
class Serial:
    """One after the other, in this process."""

    in_process = True

    def run(
        self, jobs: Sequence[Task], models: OpenModels, on_iterations: Callable[[int], None]
    ) -> Iterator[JobResult]:
        for job in jobs:
            yield job.run(models, on_iterations)
