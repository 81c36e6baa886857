"""What the loop costs over the bare model, what folding with channels-last brings, and what was tried to cost less.

    python -m benchmarks.overhead                        on all cores, by the clock: nothing else may run
    OMP_NUM_THREADS=1 python -m benchmarks.overhead      on one, by the time that it computed: whatever else runs

All are timed in turn, round after round, each between two timings of the bare model; a ratio is the median of the
rounds' ratios.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from statistics import median
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

import phosphene
from benchmarks.record import markdown, write_result
from phosphene.core.images import ImageShape
from phosphene.core.memory import keep_freed_memory
from phosphene.method.multires import estimate
from phosphene.model.classifier import Classifier
from phosphene.model.freezing import frozen
from phosphene.recipe.concepts import Concept
from phosphene.recipe.distributions import Grey
from phosphene.recipe.grammar import parse
from phosphene.recipe.recipe import PRESETS

Timed = Callable[[], object]


def make_bare_pass(model: Classifier, images: Tensor) -> Timed:
    """One forward and backward of the frozen classifier on a fixed batch."""

    def run() -> None:
        moving = images.detach().requires_grad_()
        torch.autograd.grad(model(moving)[:, 1].sum(), moving)

    return run


def make_given_pass(model: Classifier, images: Tensor) -> Timed:
    """The same for the network as its owner would run it: unfolded, in the default memory layout."""
    normalised = (2 * images - 1).contiguous()

    def run() -> None:
        moving = normalised.detach().requires_grad_()
        torch.autograd.grad(model.module(moving)[:, 1].sum(), moving)

    return run


def draw_fresh_noise(self: Grey, generator: Generator, count: int, shape: ImageShape) -> Tensor:
    """New Gaussian numbers for every draw instead of a window of a table."""
    return torch.randn(count, *shape, generator=generator).mul_(self.sigma).add_(0.5).clamp_(0, 1)


def make_traced_placement(mode: str, border: str = "zeros") -> Callable[[Tensor, Tensor], Tensor]:
    """Placement of maps as torch derives it, which keeps them and the grid for the backward pass."""

    def place(maps: Tensor, views: Tensor) -> Tensor:
        grid = F.affine_grid(views, list(maps.shape), align_corners=False)
        return F.grid_sample(maps, grid, mode=mode, padding_mode=border, align_corners=False)

    return place


LOOPS: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "as it is": nullcontext,
    "new random numbers for every draw": lambda: patch.object(Grey, "draw", draw_fresh_noise),
    "placement derived by torch": lambda: patch("phosphene.recipe.draws.place", make_traced_placement("bilinear")),
    "placement by the nearest pixel": lambda: patch("phosphene.recipe.draws.place", make_traced_placement("nearest")),
}
RECIPE = replace(PRESETS["default"], coarse=0.0)  # passes of one size, the bare model's
PASSES = 4  # of the loop, between two times 2 of the bare model


class Loop:
    """Iterations of one estimate after the other."""

    def __init__(self, classifier: Classifier, concepts: Sequence[Concept]) -> None:
        self.start = partial(estimate, classifier, concepts, RECIPE)
        self.running = self.start()

    def make_iteration(self, change: Callable[[], AbstractContextManager[object]]) -> Timed:
        """One iteration inside a context that changes the loop."""

        def run() -> None:
            with change():
                if next(self.running, None) is None:  # it has come to its end
                    self.running = self.start()
                    next(self.running)

        return run


def measure_seconds(run: Timed, times: int) -> float:
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    started = clock()
    for _ in range(times):
        run()
    return (clock() - started) / times


def measure_rounds(
    bare: Timed, others: dict[str, tuple[Timed, int]], count: int
) -> Iterator[tuple[float, dict[str, float]]]:
    """Seconds of the bare pass and the ratio of each other's to those right before and after it."""
    for _ in range(count):
        before, ratios = measure_seconds(bare, 2), {}
        for name, (run, times) in others.items():
            taken = measure_seconds(run, times)
            after = measure_seconds(bare, 2)
            ratios[name] = 2 * taken / (before + after)
            before = after
        yield before, ratios


def summarize(measure: str, values: Sequence[float], digits: int) -> dict[str, str]:
    ordered = sorted(values)
    low, high = ordered[len(ordered) // 4], ordered[-1 - len(ordered) // 4]
    middle = f"{low:.{digits}f}–{high:.{digits}f}"
    return {"measure": measure, "median": f"{median(ordered):.{digits}f}", "middle half": middle}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="efficientnet_lite0")
    parser.add_argument("--batch", type=int, default=4, help="rows; as many as one pass of the loop has")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--keep-memory", action="store_true", help="as the command does; the library leaves it to you")
    options = parser.parse_args(arguments)
    if options.keep_memory:
        keep_freed_memory()
    plain = phosphene.load(options.model)
    folded = plain.fold()
    images = torch.rand(options.batch, *plain.image_shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        difference = (plain(images) - folded(images)).abs().max().item()
    concepts = [parse(str(index), plain.labels) for index in range(options.batch)]
    loop = Loop(folded, concepts)
    bare = make_bare_pass(folded, images)
    others: dict[str, tuple[Timed, int]] = {
        name: (loop.make_iteration(change), PASSES) for name, change in LOOPS.items()
    }
    others["given"] = (make_given_pass(plain, images), 1)
    with frozen(plain.module):
        next(measure_rounds(bare, others, 1))  # to warm up
        times, ratios = zip(*measure_rounds(bare, others, options.rounds), strict=True)
    rows = [
        summarize("loop over bare forward + backward (≤ 1.10)", [ratio["as it is"] for ratio in ratios], 3),
        *(summarize(f"the loop with {name}", [ratio[name] for ratio in ratios], 3) for name in list(LOOPS)[1:]),
        summarize("plain over folded + channels-last (≥ 1.4)", [ratio["given"] for ratio in ratios], 2),
        {"measure": "largest change of a logit by folding (≤ 1e-4)", "median": f"{difference:.1e}", "middle half": "–"},
        summarize("milliseconds a pass, folded", [1000 * taken / options.batch for taken in times], 1),
    ]
    print(markdown(rows))
    one_core = torch.get_num_threads() == 1
    name = "overhead" + "-one-core" * one_core + "-kept-memory" * options.keep_memory
    command = "OMP_NUM_THREADS=1 " * one_core + "python -m benchmarks.overhead" + " --keep-memory" * options.keep_memory
    print(write_result(name, command, vars(options), rows))


if __name__ == "__main__":
    main()
