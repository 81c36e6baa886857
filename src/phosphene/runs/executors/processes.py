"""Jobs in fresh processes of this machine."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context, parent_process

import torch

from phosphene.errors import WorkerDied
from phosphene.runs.executors.executor import Task
from phosphene.runs.executors.worker import run_in_worker
from phosphene.runs.jobs import JobResult
from phosphene.runs.open_models import OpenModels

RESTARTED = "a worker died; what it was making is made again by a new one"


@dataclass(frozen=True)
class Processes:
    """Fresh processes, `workers` at a time, with as many threads each as this one: with other numbers of threads
    kernels sum in other orders."""

    workers: int = 2
    in_process = False

    def run(
        self, jobs: Sequence[Task], models: OpenModels, on_iterations: Callable[[int], None]
    ) -> Iterator[JobResult]:
        """The result of each job, in order. Where a worker dies, jobs that keep going are given to new workers; the
        jobs at the front then run alone until one has cost two workers: that one is given up."""
        left, alone = list(jobs), False
        while left:
            count = len(left)
            try:
                for result in self._run_pool(left[:1] if alone else left[:], on_iterations):
                    del left[0]
                    yield result
                alone = False
            except WorkerDied:
                if not left[0].keep_going:
                    raise
                yield JobResult(warnings=(RESTARTED,))
                if alone:
                    left[:1], failed = left[0].split()
                    yield failed
                alone = len(left) == count

    def _run_pool(self, jobs: Sequence[Task], on_iterations: Callable[[int], None]) -> Iterator[JobResult]:
        threads = (torch.get_num_threads(),)
        pool = ProcessPoolExecutor(min(self.workers, len(jobs)), get_context("spawn"), _start_worker, threads)
        try:
            results = pool.map(run_in_worker, jobs)
            for job in jobs:
                try:
                    result = next(results)
                except BrokenProcessPool as error:
                    raise WorkerDied(
                        f"a worker died while it made {job.describe()} or something later; "
                        f"what is finished is kept, the same command goes on from here"
                    ) from error
                on_iterations(job.iterations)
                yield result
        except BaseException:
            _stop(pool)
            raise
        pool.shutdown()


def _stop(pool: ProcessPoolExecutor) -> None:
    """End the workers without waiting for the maps that they make; files are written whole or not at all."""
    workers = list((getattr(pool, "_processes", None) or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for worker in workers:
        worker.terminate()
    for worker in workers:
        worker.join()


def _start_worker(threads: int) -> None:
    torch.set_num_threads(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all processes of a terminal; the parent ends this one
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for its next job for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
