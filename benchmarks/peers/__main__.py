"""The command line of the comparison.

python -m benchmarks.peers run [METHOD...] [--seeds 0 1]     make the pictures that are missing
python -m benchmarks.peers evaluate                          let the judges classify them; tables of the docs
python -m benchmarks.peers judges --judge PATH                what judges of other families call them
python -m benchmarks.peers time [METHOD...]                  seconds a class and memory
python -m benchmarks.peers grid                              the same 12 classes by every method
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path

import phosphene
from benchmarks.judges import add_judge_option
from benchmarks.peers import evaluation, grid, outside, timing
from benchmarks.peers.goals import list_goals
from benchmarks.peers.methods import METHODS
from benchmarks.peers.pictures import make_missing
from benchmarks.recognition import VERIFIERS, random_classes
from benchmarks.record import markdown, write_result


def run(options: argparse.Namespace) -> None:
    """All methods get our folded, channels-last copy of the network: the same logits, and faster for all."""
    classifier = phosphene.load("efficientnet_lite0").fold()
    for seed, name in itertools.product(options.seeds, options.names or METHODS):
        entry = METHODS[name]
        if seed in entry.seeds:
            count = min(entry.classes, options.classes)
            make_missing(name, entry.method, classifier, random_classes(0, 100)[:count], seed)


def judge(options: argparse.Namespace) -> None:
    """The table of recognition, and the goals."""
    goals = list_goals(evaluation.evaluate())
    print(markdown(goals))
    settings = {"classes": random_classes(0, 100), "judges": VERIFIERS}
    print(write_result("peers-goals", "python -m benchmarks.peers evaluate", settings, goals))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run", help="make the pictures that are missing; can be stopped at any time")
    running.add_argument("names", nargs="*", metavar="METHOD", help=", ".join(METHODS))
    running.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    running.add_argument("--classes", type=int, default=100, help="the first so many")
    running.set_defaults(run=run)
    judging = commands.add_parser("evaluate", help="let the judges classify the pictures, write the tables")
    judging.set_defaults(run=judge)
    outsiders = commands.add_parser("judges", help="what judges of other families call the pictures")
    add_judge_option(outsiders)
    outsiders.set_defaults(run=lambda options: outside.judge_all(options.judge))
    clock = commands.add_parser("time", help="seconds a class and peak memory, methods in turns")
    clock.add_argument("names", nargs="*", metavar="METHOD")
    clock.add_argument("--rounds", type=int, default=2)
    clock.set_defaults(run=lambda options: timing.measure(options.names or list(METHODS), options.rounds))
    drawing = commands.add_parser("grid", help="the picture of all methods")
    drawing.add_argument("--out", type=Path, default=grid.PICTURE)
    drawing.set_defaults(run=lambda options: grid.draw(options.out))
    options = parser.parse_args(arguments)
    options.run(options)


if __name__ == "__main__":
    main()
