"""The executors by name."""

from __future__ import annotations

from collections.abc import Callable

from phosphene.runs.executors.executor import Executor
from phosphene.runs.executors.processes import Processes
from phosphene.runs.executors.ray_cluster import Ray
from phosphene.runs.executors.serial import Serial

EXECUTORS: dict[str, Callable[..., Executor]] = {"serial": Serial, "processes": Processes, "ray": Ray}


def choose_executor(workers: int) -> Executor:
    """Processes where there is more than one worker, else this process."""
    return EXECUTORS["processes"](workers) if workers > 1 else EXECUTORS["serial"]()
