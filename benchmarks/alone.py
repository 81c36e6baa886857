"""What an iteration costs of one map alone: in a pass as small as gives the same numbers, and filled up to four images.

    python -m benchmarks.alone                        on all cores, by the clock: nothing else may run

All are timed in turn, round after round; ratios are to the pass of four that is full.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from statistics import median
from unittest.mock import patch

import torch

import phosphene
from benchmarks.overhead import RECIPE, measure_seconds
from benchmarks.record import markdown, write_result
from phosphene.core.memory import keep_freed_memory
from phosphene.method.multires import estimate
from phosphene.model.classifier import Classifier
from phosphene.recipe.concepts import Concept
from phosphene.recipe.grammar import parse

ITERATIONS = 6


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args(arguments)
    keep_freed_memory()  # as the command does
    network = phosphene.load("efficientnet_lite0").fold()
    single, concepts = network.replace(batch_size=1), [parse(str(index), network.labels) for index in range(4)]
    filled = partial(patch, "phosphene.model.classifier.choose_size", lambda *given: given[3])
    two = partial(patch, "phosphene.model.classifier.choose_size", lambda *given: 2)
    apart = phosphene.load("efficientnet_lite0").fold()
    for layer in apart.module.modules():
        if hasattr(layer, "inplace"):
            layer.inplace = False
    settings: dict[str, tuple[Classifier, Sequence[Concept], Callable[[], AbstractContextManager[object]]]] = {
        "four maps": (network, concepts, nullcontext),
        "one map": (network, concepts[:1], nullcontext),
        "one map, its pass filled up to two images": (network, concepts[:1], two),
        "one map, its pass filled up to four images": (network, concepts[:1], filled),
        "one map, no activation in place": (apart, concepts[:1], nullcontext),
        "four maps, no activation in place": (apart, concepts, nullcontext),
        "one map, other numbers: one image a pass": (single, concepts[:1], nullcontext),
        "four maps, other numbers: one image a pass": (single, concepts, nullcontext),
    }
    taken: dict[str, list[float]] = {name: [] for name in settings}
    for number in range(options.rounds + 1):
        for name, (classifier, some, within) in settings.items():
            running = estimate(classifier, some, RECIPE)
            with within():
                next(running)  # tries what it may
                spent = measure_seconds(partial(next, running), ITERATIONS)
            if number:  # the first round warms up
                taken[name].append(spent)
    full = taken["four maps"]
    rows = [
        {
            "an iteration of": name,
            "milliseconds": f"{1000 * median(times):.0f}",
            "ratio": f"{median(one / other for one, other in zip(times, full, strict=True)):.2f}",
        }
        for name, times in taken.items()
    ]
    print(markdown(rows))
    one_core = torch.get_num_threads() == 1
    command = "OMP_NUM_THREADS=1 " * one_core + "python -m benchmarks.alone"
    print(write_result("alone" + "-one-core" * one_core, command, vars(options), rows))


if __name__ == "__main__":
    main()
