"""What one thread costs, and how far maps of another number of threads are apart, beside other seeds.

Each number of threads runs in a process of its own, with the bundled model.

"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Any

import torch

import phosphene
from phosphene.core.memory import keep_freed_memory
from phosphene.evidence.compare import measure_cosine
from phosphene.method.multires import estimate
from phosphene.model.classifier import Classifier
from phosphene.recipe.grammar import parse
from phosphene.recipe.recipe import PRESETS
from phosphene.runs.make import make_maps
from phosphene.runs.saliency import SaliencyMap

THREADS, SEEDS, ITERATIONS, TIMED = (1, 2), (0, 1), 60, 6
CONCEPTS = ("goldfish", "daisy")


def measure(work: Path) -> list[dict[str, Any]]:
    """Makes the maps of every number of threads and seed, and compares them."""
    folder = work / "threads"
    for threads in THREADS:
        if not (folder / f"seconds-{threads}.json").exists():
            line = [sys.executable, "-m", "benchmarks.hostile.threads", str(threads), str(folder)]
            subprocess.run(line, check=True)
    seconds = {
        path.stem.removeprefix("seconds-"): json.loads(path.read_text()) for path in folder.glob("seconds-*.json")
    }
    maps = {key: _load(folder, *key) for key in [(threads, seed) for threads in THREADS for seed in SEEDS]}
    rows: list[dict[str, Any]] = []
    for one, other in combinations(maps, 2):
        cosines = [measure_cosine(a, b) for a, b in zip(maps[one], maps[other], strict=True)]
        if one[0] == other[0] or one[1] == other[1]:
            rows.append({"pair": _describe(one, other), "cosine, median": round(median(cosines), 2)})
    exact = [[SaliencyMap.load(path).map for path in _list_exact(folder, threads)] for threads in THREADS]
    cosines = [measure_cosine(one, other) for one, other in zip(*exact, strict=True)]
    rows.append({"pair": "1 and 2 threads, seed 0, --double", "cosine, median": f"{median(cosines):.6f}"})
    for words, one, other in (("1 thread to 2", "1", "2"), ("1 thread, --double to not", "1-double", "1")):
        ratio = median(seconds[one]) / median(seconds[other])
        rows.append({"pair": f"seconds an iteration, {words}", "cosine, median": f"{ratio:.2f} times"})
    return rows


def _list_exact(folder: Path, threads: int) -> list[Path]:
    return sorted((folder / f"{threads}-double").glob("*.safetensors"))


def _describe(one: tuple[int, int], other: tuple[int, int]) -> str:
    if one[1] == other[1]:
        return f"{one[0]} and {other[0]} threads, seed {one[1]}"
    return f"seeds {one[1]} and {other[1]}, {one[0]} thread{'s' * (one[0] > 1)}"


def _load(folder: Path, threads: int, seed: int) -> list[torch.Tensor]:
    place = folder / f"{threads}-{seed}"
    return [SaliencyMap.load(path).map for path in sorted(place.glob("*.safetensors"))]


def main(arguments: Sequence[str]) -> None:
    """`THREADS FOLDER`: make the maps, and time an iteration."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hostile.threads", description=__doc__)
    parser.add_argument("threads", type=int)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args(arguments)
    threads, folder = options.threads, options.folder
    keep_freed_memory()
    torch.set_num_threads(threads)
    classifier, exact = (phosphene.load("efficientnet_lite0", double=double) for double in (False, True))
    recipe = replace(PRESETS["default"], iterations=ITERATIONS, restarts=1)
    for seed in SEEDS:
        make_maps(classifier, CONCEPTS, replace(recipe, seed=seed), out=folder / f"{threads}-{seed}")
    make_maps(exact, CONCEPTS, recipe, out=folder / f"{threads}-double")
    for name, one in ((f"{threads}-double", exact), (f"{threads}", classifier)):
        (folder / f"seconds-{name}.json").write_text(json.dumps(_time_iterations(one)))


def _time_iterations(classifier: Classifier) -> list[float]:
    running, taken = estimate(classifier.fold(), [parse(CONCEPTS[0], classifier.labels)], PRESETS["paper"]), []
    for _ in range(TIMED):
        started = time.perf_counter()
        next(running)
        taken.append(time.perf_counter() - started)
    return taken


if __name__ == "__main__":
    main(sys.argv[1:])
