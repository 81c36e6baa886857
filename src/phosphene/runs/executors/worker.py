"""What a process that runs jobs for another keeps: its open models."""

from __future__ import annotations

from pathlib import Path

from phosphene.runs.callbacks import noop
from phosphene.runs.executors.executor import Task
from phosphene.runs.jobs import Job, JobResult
from phosphene.runs.open_models import OpenModels

_models = OpenModels()  # of a worker process: each model is opened once, whatever the number of jobs


def run_in_worker(job: Task) -> JobResult:
    return job.run(_models, noop)


def lacks_pickled(job: Job) -> bool:
    """Whether a model of the job was pickled to a file that cannot be read here, and is not open either."""
    references = (job.model, *job.verifiers)
    return any(
        one.pickled is not None and not Path(one.pickled).is_file() and not _models.has(one) for one in references
    )


def keep_pickled(job: Job, pickled: dict[str, bytes]) -> None:
    """Open the models of a job that this run has pickled itself, of which the worker cannot read the files."""
    for reference in (job.model, *job.verifiers):
        if reference.pickled in pickled:
            _models.add_pickled(reference, pickled[reference.pickled])
