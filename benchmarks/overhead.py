"""What the loop costs over the bare model, and what folding with channels-last brings.

    python -m benchmarks.overhead

The three are timed in turn, round after round; a ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from statistics import median

import torch

import phosphene
from benchmarks.record import markdown, write_result
from phosphene.classifier import Classifier
from phosphene.concepts import parse
from phosphene.estimator import estimate
from phosphene.recipe import PRESETS


def bare_pass(model: Classifier, images: torch.Tensor) -> Callable[[], None]:
    """One forward and backward of the frozen classifier on a fixed batch."""

    def once() -> None:
        moving = images.detach().requires_grad_()
        torch.autograd.grad(model(moving)[:, 1].sum(), moving)

    return once


def given_pass(model: Classifier, images: torch.Tensor) -> Callable[[], None]:
    """The same for the network as its owner would run it: unfolded, in the default memory layout."""
    normalised = (2 * images - 1).contiguous()

    def once() -> None:
        moving = normalised.detach().requires_grad_()
        torch.autograd.grad(model.module(moving)[:, 1].sum(), moving)

    return once


def seconds(once: Callable[[], object], times: int) -> float:
    started = time.perf_counter()
    for _ in range(times):
        once()
    return (time.perf_counter() - started) / times


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="efficientnet_lite0")
    parser.add_argument("--batch", type=int, default=4, help="rows; as many as one pass of the loop has")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args(arguments)
    plain = phosphene.load(options.model)
    folded = plain.folded()
    images = torch.rand(options.batch, *plain.image_shape, generator=torch.Generator().manual_seed(0))
    with plain.frozen(), torch.no_grad():
        difference = (plain(images) - folded(images)).abs().max().item()
    concepts = [parse(str(index), plain.labels) for index in range(options.batch)]
    recipe = PRESETS["default"]

    def loop(iterations: int) -> Callable[[], None]:
        progress = estimate(folded, concepts, recipe)
        next(progress)
        return lambda: [next(progress) for _ in range(iterations)] and None

    plain_pass, folded_pass = given_pass(plain, images), bare_pass(folded, images)
    loops, gains, passes = [], [], []
    with plain.frozen(), folded.frozen():
        seconds(plain_pass, 1), seconds(folded_pass, 2)
        for _ in range(options.rounds):
            before = seconds(folded_pass, 2)
            looped = seconds(loop(4), 1) / 4
            after = seconds(folded_pass, 2)
            loops.append(2 * looped / (before + after))
            gains.append(2 * seconds(plain_pass, 1) / (before + after))
            passes.append(after / options.batch)
    rows = [
        {"measure": "loop over bare forward + backward (≤ 1.10)", "median": f"{median(loops):.3f}",
         "rounds": f"{min(loops):.3f}–{max(loops):.3f}"},
        {"measure": "plain over folded + channels-last (≥ 1.4)", "median": f"{median(gains):.2f}",
         "rounds": f"{min(gains):.2f}–{max(gains):.2f}"},
        {"measure": "largest change of a logit by folding (≤ 1e-4)", "median": f"{difference:.1e}", "rounds": "–"},
        {"measure": "milliseconds a pass, folded", "median": f"{1000 * median(passes):.1f}",
         "rounds": f"{1000 * min(passes):.1f}–{1000 * max(passes):.1f}"},
    ]  # fmt: skip
    print(markdown(rows))
    print(write_result("overhead", "python -m benchmarks.overhead", vars(options), rows))


if __name__ == "__main__":
    main()
