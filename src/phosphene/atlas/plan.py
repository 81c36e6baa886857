"""What an atlas will cost, from one batch of it that is made and thrown away."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from phosphene.model.classifier import Classifier
from phosphene.model.memory import fit_batch_size
from phosphene.recipe.concepts import Classes
from phosphene.recipe.recipe import Recipe
from phosphene.runs.make import fit_recipe, make
from phosphene.runs.storage import Storage

CHUNK = 8  # classes, at most, that are made to measure


@dataclass(frozen=True)
class CostPlan:
    """What was measured on `measured` classes in one process, and what follows from it for all of them.

    `seconds`, `passes` and `bytes` are of one class, `memory` is of one process in bytes, `free_*` what this machine
    has left. The work is divided evenly, which holds while workers have a core each and no other work.
    """

    classes: int
    measured: int
    workers: int
    cores: int
    seconds: float
    passes: float
    bytes: float
    memory: int
    free_memory: int
    free_disk: int

    @property
    def parallel(self) -> int:
        """Workers that have a core of their own here."""
        return min(self.workers, self.cores)

    @property
    def total_seconds(self) -> float:
        return self.seconds * self.classes / self.parallel

    @property
    def total_bytes(self) -> float:
        return self.bytes * self.classes

    @property
    def total_memory(self) -> int:
        """Of the workers and, where there are several, of the process that starts them."""
        return self.memory * (self.workers + (self.workers > 1))


def plan_atlas(
    classifier: Classifier,
    classes: Sequence[Classes],
    recipe: Recipe,
    *,
    out: Path,
    workers: int,
    verifiers: Sequence[Classifier] = (),
    storage: Storage,
) -> CostPlan:
    """Make one batch of the classes, spread over all of them, in a temporary folder, and measure what it takes."""
    recipe, cores = fit_recipe(recipe, classifier), count_cores()
    batch = max(1, fit_batch_size(classifier.fold()) // recipe.samples)
    some = classes[:: max(1, len(classes) // batch)][: min(batch, CHUNK)]
    place = next(folder for folder in (out, *out.resolve().parents) if folder.exists())
    with tempfile.TemporaryDirectory(prefix="phosphene-plan-") as folder:
        warm = make(classifier, some[:1], recipe, Path(folder) / "warm", verifiers=verifiers, storage=storage)
        list(warm)  # the first map also pays for what is prepared once
        started = time.perf_counter()
        made = list(make(classifier, some, recipe, Path(folder), verifiers=verifiers, storage=storage))
        seconds = (time.perf_counter() - started) / len(some)
        size = sum(file.stat().st_size for file in Path(folder).glob("*.*") if file.name != "run.json")
    return CostPlan(
        classes=len(classes),
        measured=len(some),
        workers=workers,
        cores=cores,
        seconds=seconds,
        passes=sum(one.passes for one in made) / len(made),
        bytes=size / len(some),
        memory=peak_memory(),
        free_memory=psutil.virtual_memory().available,
        free_disk=shutil.disk_usage(place).free,
    )


def count_cores() -> int:
    """Cores that this process may use."""
    process = psutil.Process()
    return len(process.cpu_affinity()) if hasattr(process, "cpu_affinity") else psutil.cpu_count() or 1


def peak_memory() -> int:
    """Bytes that this process has held at most, as far as the system says."""
    try:
        import resource
    except ImportError:  # Windows
        return int(psutil.Process().memory_info().rss)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
