"""Jobs on a Ray cluster: one that this process starts on this machine, or one that is running; the only user of Ray.

A worker writes where the driver does if it sees the folder of the maps; else its files come back through Ray, and the
driver writes them. Nothing of Ray is imported before a run.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from phosphene.core.files import temporary_name, write_atomically
from phosphene.errors import BadInput, WorkerDied
from phosphene.runs.executors.executor import Task
from phosphene.runs.executors.worker import keep_pickled, lacks_pickled, run_in_worker
from phosphene.runs.jobs import Job, JobResult, split_job
from phosphene.runs.open_models import OpenModels

STORE = 256 << 20  # bytes of shared memory of a cluster of our own: jobs and results are small
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # it would report to its makers
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # workers see the devices that this process sees
    "RAY_worker_niceness": "0",  # added to this process's: by default 15, which anything else on the machine outruns
}
RETRIES = 3  # of a job whose worker or node has died
Files = dict[str, bytes]


@dataclass(frozen=True)
class Ray:
    """Workers of a Ray cluster: `workers` on this machine or, with an `address`, as many as the cluster has cores. Each
    has as many threads as this process. Needs the extra `ray`."""

    workers: int = 2
    address: str | None = None
    in_process = False

    def run(
        self, jobs: Sequence[Task], models: OpenModels, on_iterations: Callable[[int], None]
    ) -> Iterator[JobResult]:
        """The result of each job, in order. Ray gives the job of a dead worker to another; one that has cost
        `RETRIES` workers besides the first is given up."""
        ray, jobs = _import_ray(), _require_maps(jobs)
        with _connect(ray, self.workers, self.address), _mark(jobs) as marker:
            run_remotely = ray.remote(num_cpus=1, max_retries=RETRIES)(_run_on_node)
            pickled = ray.put(_read_pickled(jobs))
            setting = (torch.get_num_threads(), [*sys.path])

            def submit(job: Job) -> Any:
                return run_remotely.remote(pickle.dumps(job), marker, [pickled], *setting)

            left = [(job, submit(job)) for job in jobs]
            while left:
                job, future = left.pop(0)
                try:
                    result, files = ray.get(future)
                except ray.exceptions.RayTaskError as error:
                    raise error.cause from None
                except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError) as error:
                    if not job.keep_going:
                        raise WorkerDied(_describe(job)) from error
                    parts, result = split_job(job)
                    left[:0] = [(part, submit(part)) for part in parts]
                    yield result
                    continue
                on_iterations(len(job.concepts) * job.recipe.iterations)
                yield _write_files(job, result, files)


def _require_maps(tasks: Sequence[Task]) -> list[Job]:
    """Jobs of maps alone: files of other tasks do not come back from another machine."""
    jobs = [task for task in tasks if isinstance(task, Job)]
    if len(jobs) < len(tasks):
        raise BadInput("--executor ray makes maps alone; expected serial or processes")
    return jobs


def _import_ray() -> ModuleType:
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise BadInput("--executor ray needs Ray, which is not installed; `pip install 'phosphene[ray]'`") from error
    return ray


@contextlib.contextmanager
def _connect(ray: ModuleType, workers: int, address: str | None) -> Iterator[None]:
    """A connection to the cluster, or a cluster of our own; both end with the run. One that the program already has is
    used as it is. Ray replaces the handlers of signals, which are put back: an interruption is told in the same words
    everywhere."""
    if ray.is_initialized():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    own = {"num_cpus": workers, "include_dashboard": False, "object_store_memory": STORE} if address is None else {}
    try:
        ray.init(address=address or "local", log_to_driver=False, logging_level="ERROR", configure_logging=False, **own)
    except (ConnectionError, ValueError, RuntimeError) as error:
        where = "on this machine" if address is None else f"at {address!r}"
        raise BadInput(
            f"no Ray cluster {where}: {str(error).splitlines()[0]}; start one, or leave --address out"
        ) from error
    with contextlib.suppress(ValueError):  # outside of the main thread nothing was replaced
        for number, handler in handlers.items():
            signal.signal(number, handler)
    try:
        yield
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _mark(jobs: Sequence[Job]) -> Iterator[str]:
    """A file in the folder of the maps that only whoever shares the folder sees, for as long as the jobs run."""
    name = temporary_name()
    folders = {job.folder.resolve() for job in jobs}
    for folder in folders:
        (folder / name).touch()
    try:
        yield name
    finally:
        for folder in folders:
            (folder / name).unlink(missing_ok=True)


def _read_pickled(jobs: Sequence[Job]) -> Files:
    """The content of every model that this run has pickled, by the path in its reference."""
    references = {reference for job in jobs for reference in (job.model, *job.verifiers)}
    paths = {reference.pickled for reference in references if reference.pickled is not None}
    return {path: Path(path).read_bytes() for path in paths if Path(path).is_file()}


def _run_on_node(
    content: bytes, marker: str, pickled: list[Any], threads: int, path: list[str]
) -> tuple[JobResult, Files]:
    """A job in a worker of Ray: its result, and its files where they could not be written to the job's folder. A model
    and a concept of the user's own are looked for where this program would find their code: the job is unpickled after
    that is known."""
    torch.set_num_threads(threads)
    sys.path += [entry for entry in path if entry not in sys.path]
    job: Job = pickle.loads(content)
    if lacks_pickled(job):
        keep_pickled(job, _import_ray().get(pickled[0]))
    if (job.folder / marker).is_file():
        return run_in_worker(job), {}
    with tempfile.TemporaryDirectory(prefix="phosphene-ray-") as place:
        result = run_in_worker(replace(job, folder=Path(place)))
        return result, {path.name: path.read_bytes() for path in Path(place).iterdir()}


def _write_files(job: Job, result: JobResult, files: Files) -> JobResult:
    """The result with its files in the job's folder, the artifacts last."""
    for name in sorted(files, key=lambda name: name.endswith(".safetensors")):
        write_atomically(job.folder / name, files[name])
    moved = (replace(one, path=job.folder / one.path.name) if files else one for one in result.maps)
    return replace(result, maps=tuple(moved))


def _describe(job: Job) -> str:
    names = ", ".join(concept.name for concept in job.concepts)
    return f"workers died while they made {names}; finished maps are kept, the same command goes on from here"
