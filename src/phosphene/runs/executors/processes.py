"""Jobs in fresh processes of this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context

import torch

from phosphene.errors import WorkerDied
from phosphene.runs.jobs import Job, JobResult, run_job
from phosphene.runs.open_models import OpenModels

_models = OpenModels()  # of a worker process: each model is opened once, whatever the number of jobs


@dataclass(frozen=True)
class Processes:
    """Fresh processes, `workers` at a time, with as many threads each as this one: with other numbers of threads
    kernels sum in other orders."""

    workers: int = 2
    in_process = False

    def run(self, jobs: Sequence[Job], models: OpenModels, on_iterations: Callable[[int], None]) -> Iterator[JobResult]:
        threads = (torch.get_num_threads(),)
        with ProcessPoolExecutor(self.workers, get_context("spawn"), torch.set_num_threads, threads) as pool:
            results = pool.map(_run_in_worker, jobs)
            for job in jobs:
                try:
                    result = next(results)
                except BrokenProcessPool as error:
                    raise WorkerDied(
                        f"a worker died while it made {', '.join(concept.name for concept in job.concepts)} or a later "
                        f"map; finished maps are kept, the same command goes on from here"
                    ) from error
                on_iterations(len(job.concepts) * job.recipe.iterations)
                yield result


def _run_in_worker(job: Job) -> JobResult:
    return run_job(job, _models)
