"""The executors by name: each takes the number of workers."""

from __future__ import annotations

from collections.abc import Callable

from phosphene.runs.executors.executor import Executor
from phosphene.runs.executors.processes import Processes
from phosphene.runs.executors.serial import Serial

EXECUTORS: dict[str, Callable[[int], Executor]] = {"serial": lambda workers: Serial(), "processes": Processes}


def choose_executor(workers: int) -> Executor:
    """Processes where there is more than one worker, else this process."""
    return EXECUTORS["processes" if workers > 1 else "serial"](workers)
