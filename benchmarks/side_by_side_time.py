"""Seconds a class of `default` beside the recipe from before its backward pass was changed, in turns in one process.

python -m benchmarks.side_by_side_time
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from statistics import median
from typing import Any

import phosphene
from benchmarks.makers import RECIPES
from benchmarks.recognition import random_classes
from benchmarks.record import markdown, write_result
from phosphene.core.memory import keep_freed_memory

ROUNDS, TOGETHER = 2, 4
BEFORE = "before the backward pass was changed"
ROWS = {
    "default": RECIPES["default"],
    "the same, gradient as it is": replace(RECIPES["default"], leak=0.0, residual=1.0),
    "the recipe before, 200 iterations": replace(RECIPES[BEFORE], iterations=200),
}


def main(arguments: list[str] | None = None) -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args(
        arguments
    )
    keep_freed_memory()
    classifier = phosphene.load("efficientnet_lite0").fold()
    classes = [f"index:{index}" for index in random_classes(1, TOGETHER)]
    phosphene.make_maps(
        classifier, classes, replace(ROWS["default"], restarts=1, iterations=8)
    )  # what is first is slow
    seconds: dict[str, list[float]] = {name: [] for name in ROWS}
    for seed in range(ROUNDS):
        for name, recipe in ROWS.items():
            started = time.perf_counter()
            phosphene.make_maps(classifier, classes, replace(recipe, restarts=1, seed=seed))
            seconds[name].append((time.perf_counter() - started) / TOGETHER)
    rows: list[dict[str, Any]] = [
        {
            "recipe": name,
            "seconds a class": f"{median(some):.2f}",
            "rounds": ", ".join(f"{one:.2f}" for one in some),
            "over default's": f"{median(some) / median(seconds['default']):.2f}",
        }
        for name, some in seconds.items()
    ]
    print(markdown(rows))
    print(write_result("side-by-side-time", "python -m benchmarks.side_by_side_time", {"rounds": ROUNDS}, rows))


if __name__ == "__main__":
    main()
