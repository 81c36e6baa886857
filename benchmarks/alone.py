"""What an iteration costs of one map alone, at both sizes: as it is made, and by what else was tried.

    python -m benchmarks.alone                        on all cores, by the clock: nothing else may run

All are timed in turn, round after round; ratios are to the pass of four that is full.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from statistics import median
from unittest.mock import patch

import torch

import phosphene
from benchmarks.overhead import RECIPE, measure_seconds
from benchmarks.record import markdown, write_result
from phosphene.core.cache import Cache
from phosphene.core.memory import keep_freed_memory
from phosphene.method.loop import iterate
from phosphene.method.multires import half_size
from phosphene.model.classifier import Classifier
from phosphene.recipe.grammar import parse

ITERATIONS = 6


@contextmanager
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


Setting = tuple[Classifier, int, Callable[[], AbstractContextManager[object]]]


def list_settings(network: Classifier) -> dict[str, Setting]:
    """By name: the classifier, how many maps, and what holds meanwhile."""
    filled = partial(patch, "phosphene.model.classifier.choose_size", lambda *given: given[3])
    two = partial(patch, "phosphene.model.classifier.choose_size", lambda *given: 2)
    unasked = partial(patch, "phosphene.model.pointwise.find_parameters", lambda *given: None)
    single, other = network.replace(batch_size=1), network.replace(passes=Cache())  # what was tried is kept
    settings: dict[str, Setting] = {
        "four maps": (network, 4, nullcontext),
        "one map": (network, 1, nullcontext),
        "one map, no other kernel asked for, but a second image": (other, 1, unasked),
        "one map, its pass filled up to two images": (network, 1, two),
        "one map, its pass filled up to four images": (network, 1, filled),
        "one map, other numbers: one image a pass": (single, 1, nullcontext),
        "four maps, other numbers: one image a pass": (single, 4, nullcontext),
    }
    if torch.get_num_threads() > 1:
        settings["one map, other numbers: one image a pass, on one thread"] = (single, 1, one_thread)
    return settings


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args(arguments)
    keep_freed_memory()  # as the command does
    network = phosphene.load("efficientnet_lite0").fold()
    half, concepts = half_size(network), [parse(str(index), network.labels) for index in range(4)]
    assert half is not None, "EfficientNet-Lite0 takes half its size"
    taken: dict[tuple[str, str], list[float]] = {}
    for size, sized in {"half size": half, "full size": network}.items():
        settings = list_settings(sized)
        for number in range(options.rounds + 1):
            for name, (classifier, count, within) in settings.items():
                running = iterate(classifier, concepts[:count], RECIPE)
                with within():
                    next(running)  # tries what it may
                    spent = measure_seconds(partial(next, running), ITERATIONS)
                if number:  # the first round warms up
                    taken.setdefault((name, size), []).append(spent)
    names = list(dict.fromkeys(name for name, _ in taken))
    rows = [{"an iteration of": name} | _describe(taken, name) for name in names]
    print(markdown(rows))
    one_core = torch.get_num_threads() == 1
    command = "OMP_NUM_THREADS=1 " * one_core + "python -m benchmarks.alone"
    print(write_result("alone" + "-one-core" * one_core, command, vars(options), rows))


def _describe(taken: dict[tuple[str, str], list[float]], name: str) -> dict[str, str]:
    cells: dict[str, str] = {}
    for size in dict.fromkeys(size for _, size in taken):
        times, four = taken[name, size], taken["four maps", size]
        ratio = median(one / other for one, other in zip(times, four, strict=True))
        cells |= {f"{size}: ms": f"{1000 * median(times):.0f}", f"{size}: to four maps": f"{ratio:.2f}"}
    return cells


if __name__ == "__main__":
    main()
