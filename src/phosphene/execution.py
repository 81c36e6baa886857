"""How independent jobs are run: an executor maps a function over them and yields results in their order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Protocol, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


class Executor(Protocol):
    """Where the jobs run decides how long they take, never what comes out."""

    @property
    def in_process(self) -> bool:
        """Whether the function sees the caller's objects, so that it can report while it runs."""

    def map(self, function: Callable[[Job], Result], jobs: Iterable[Job]) -> Iterator[Result]: ...


@dataclass(frozen=True)
class Serial:
    """One after the other, in this process."""

    in_process = True

    def map(self, function: Callable[[Job], Result], jobs: Iterable[Job]) -> Iterator[Result]:
        return map(function, jobs)


@dataclass(frozen=True)
class Processes:
    """Fresh processes, `workers` at a time; functions and jobs must be picklable."""

    workers: int = 2
    in_process = False

    def map(self, function: Callable[[Job], Result], jobs: Iterable[Job]) -> Iterator[Result]:
        context = get_context("spawn")
        with ProcessPoolExecutor(self.workers, context, initializer=_use_threads, initargs=(_threads(),)) as pool:
            yield from pool.map(function, jobs)


def _threads() -> int:
    import torch

    return torch.get_num_threads()


def _use_threads(count: int) -> None:
    """As many as the caller has, whatever the workers: with other numbers of threads kernels sum in other orders."""
    import torch

    torch.set_num_threads(count)


EXECUTORS: dict[str, Callable[[], Executor]] = {"serial": Serial, "processes": Processes}
