"""Seconds a class and peak memory, each method in a process of its own, methods in turns, one at a time, two threads.

Every method works on what a user would pass it: a rival on timm's own module, unfolded; ours through `make_maps`, which
folds, refines and measures fidelity too. Ours as `phosphene map` does it: four classes at once, freed memory kept by
the C library, which the package itself, like the rivals, leaves to its users. One class alone costs more, and has its
own row. So has the picture alone, folding included, which is all that a rival makes.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from statistics import median
from typing import Any

import torch

import phosphene
from benchmarks.estimates import estimate_best_maps
from benchmarks.peers.methods import METHODS, OURS, Entry
from benchmarks.peers.ours import Preset
from benchmarks.recognition import random_classes
from benchmarks.record import markdown, write_result
from phosphene.core.memory import keep_freed_memory
from phosphene.method.scaling import render_pictures
from phosphene.model.classifier import Classifier
from phosphene.recipe.grammar import parse
from phosphene.recipe.recipe import PRESETS

ALONE = "default, one class alone"
PICTURE = "default, the picture alone"
THREADS = 2


def list_timed() -> dict[str, Entry]:
    """Every row of the table: the methods, and ours with one class."""
    alone = replace(METHODS["default"], method=Preset("default", together=1))
    return {"default": METHODS["default"], PICTURE: METHODS["default"], ALONE: alone, **METHODS}


class Clock:
    """One method in the process it lives in, with a network of its own."""

    classifier: Classifier
    name: str
    entry: Entry
    loaded: float  # megabytes, before any work

    @classmethod
    def start(cls, name: str) -> None:
        torch.set_num_threads(THREADS)
        cls.name, cls.entry = name, list_timed()[name]
        cls.classifier = phosphene.load("efficientnet_lite0")
        cls.classifier.module.eval().requires_grad_(True)  # as timm returns it
        if cls.entry.tool == OURS:
            keep_freed_memory()
        cls.loaded = _peak_megabytes()
        cls.work(random_classes(0, 100)[-1:], steps=2)  # imports and first calls are not timed

    @classmethod
    def seconds(cls, number: int) -> tuple[float, float]:
        """Seconds a class by the clock and of the processor, both threads, for the classes of round `number`.

        Of what is timed in part, the part made whole.
        """
        together = cls.entry.method.together
        classes = random_classes(0, 100)[number * together : (number + 1) * together]
        began, worked = time.perf_counter(), time.process_time()
        cls.work(classes)
        whole = len(classes) * cls.entry.part
        return (time.perf_counter() - began) / whole, (time.process_time() - worked) / whole

    @classmethod
    def work(cls, classes: Sequence[int], steps: int | None = None) -> None:
        """What a user would call; `steps` cuts it short."""
        method: Any = cls.entry.timed or cls.entry.method
        if isinstance(method, Preset):
            recipe = PRESETS[method.name]
            recipe = recipe if steps is None else replace(recipe, iterations=steps)
            concepts = [parse(str(index), cls.classifier.labels, scored=recipe.score) for index in classes]
            if cls.name == PICTURE:
                render_pictures(estimate_best_maps(cls.classifier.fold(), concepts, recipe), recipe)
            else:
                phosphene.make_maps(cls.classifier, concepts, recipe)
        else:
            (method if steps is None else replace(method, steps=steps))(cls.classifier, classes, 0)

    @classmethod
    def megabytes(cls) -> tuple[float, float]:
        """The most memory that the process ever had, and what it had with the network loaded and nothing done."""
        return _peak_megabytes(), cls.loaded


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(names: Sequence[str], rounds: int) -> None:
    """All methods once a round, so that other load of the machine meets all alike; the table of docs/results.md."""
    entries = {name: entry for name, entry in list_timed().items() if name in names or name in (PICTURE, ALONE)}
    context = get_context("spawn")
    pools = {name: ProcessPoolExecutor(1, context, Clock.start, (name,)) for name in entries}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in entries}
    for pool in pools.values():
        pool.submit(Clock.megabytes).result()  # started, before any clock runs
    for number in range(rounds):
        for name, pool in pools.items():
            taken[name].append(pool.submit(Clock.seconds, number).result())
            print(f"round {number + 1}: {name} {taken[name][-1][0]:.1f} s a class", flush=True)
    memory = {name: pool.submit(Clock.megabytes).result() for name, pool in pools.items()}
    for pool in pools.values():
        pool.shutdown()
    middle = {name: median(clock for clock, _ in each) for name, each in taken.items()}
    rows = [summarize(name, entries[name], taken[name], memory[name]) for name in entries]
    for line, name in zip(rows, entries, strict=True):
        line["times `default`'s"] = f"{middle[name] / middle['default']:.1f}" if "default" in middle else "–"
    print(markdown(rows))
    settings = {"rounds": rounds, "seconds": middle}
    print(write_result("peers-time", f"python -m benchmarks.peers time --rounds {rounds}", settings, rows))


def summarize(
    name: str, entry: Entry, taken: Sequence[tuple[float, float]], memory: tuple[float, float]
) -> dict[str, Any]:
    """One line: median and range of the rounds, and memory with and without that of the loaded network."""
    clock, processor = zip(*taken, strict=True)
    return {
        "method": f"**{name}**" if entry.tool == OURS else name,
        "seconds a class": f"{median(clock):.1f}",
        "rounds": f"{min(clock):.1f}–{max(clock):.1f}",
        "processor seconds, both cores": f"{median(processor):.1f}",
        "measured": "all of it" if entry.part == 1 else f"{entry.part:.0%} of it, times {1 / entry.part:.0f}",
        "peak memory, MB": f"{memory[0]:.0f}",
        "over the loaded network's, MB": f"{memory[0] - memory[1]:.0f}",
    }
