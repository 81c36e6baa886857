"""The zoo's command line.

    python -m benchmarks.zoo train --workers 2     train what is missing
    python -m benchmarks.zoo list                  how many of what kind
    python -m benchmarks.zoo check --all --save    measure again, look for leaks
    python -m benchmarks.zoo publish               copy cards and a mini zoo into the repository
    python -m benchmarks.zoo calibrate             measure development models, learn and write the scanner's table

Models lie in the folder that `--folder` or the variable `PHOSPHENE_ZOO` names, else in `benchmarks/zoo/models`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from benchmarks.record import markdown, write_result
from benchmarks.zoo.building import build_and_describe, is_finished, use_one_thread
from benchmarks.zoo.cards import Card, cards
from benchmarks.zoo.check import count_kinds, list_checks, load_discarded, measure_again
from benchmarks.zoo.domains import FASHION_VARIABLE
from benchmarks.zoo.picture import draw, draw_fractals
from benchmarks.zoo.plan import plan
from benchmarks.zoo.publishing import mini, publish
from phosphene.errors import BadInput, PhospheneError

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
FOLDER = Path(os.environ.get("PHOSPHENE_ZOO", Path(__file__).parent / "models"))


def train(options: argparse.Namespace) -> None:
    """Train every model of the plan that is not finished; one that cannot be trained is told, and the others go on."""
    wanted = [entry for entry in plan() if options.only in entry.name][: options.limit]
    missing = [entry for entry in wanted if not is_finished(entry, options.folder)]
    print(f"{len(wanted)} models, {len(missing)} to train", flush=True)
    failed = 0
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn"), initializer=use_one_thread) as pool:
        running = {pool.submit(build_and_describe, entry, options.folder): entry.name for entry in missing}
        for number, done in enumerate(as_completed(running), start=1):
            error = done.exception()
            failed += error is not None
            told = done.result() if error is None else f"{running[done]} failed: {type(error).__name__}: {error}"
            print(f"{number}/{len(missing)} {told}", flush=True)
    if failed:
        raise BadInput(f"{failed} of {len(missing)} models could not be trained; the same command tries again")


def list_models(options: argparse.Namespace) -> None:
    """The census of kinds, or each model."""
    found = cards(options.folder)
    if options.json:
        print(json.dumps([card.to_json() for card in found]))
    elif options.each:
        print(markdown([_line(card) for card in found if options.only in card.name]))
    else:
        print(markdown(count_kinds(found, load_discarded(options.folder))))
        poisoned = sum(card.poisoned for card in found)
        print(f"{len(found) - poisoned} clean and {poisoned} poisoned of {len(plan())} planned")


def _line(card: Card) -> dict[str, str]:
    return {
        "model": card.name,
        "target": "" if card.target is None else str(card.target),
        "stratum": card.stratum,
        "accuracy": f"{card.accuracy:.3f}",
        "success": "" if card.success is None else f"{card.success:.3f}",
        "seconds": f"{card.seconds:.0f}",
    }


def check(options: argparse.Namespace) -> None:
    """Measure again what the cards say, and look for leaks."""
    found = [card for card in cards(options.folder) if options.only in card.name]
    again = measure_again(found if options.all else mini(found))
    rows = list_checks(found, again)
    print(markdown(rows))
    if options.save:
        command = (
            "python -m benchmarks.zoo check --all --save" if options.all else "python -m benchmarks.zoo check --save"
        )
        settings = {"models": len(found), "measured again": len(again)}
        print(write_result("zoo-check", command, settings, rows))
        print(write_result("zoo", command, settings, count_kinds(found, load_discarded(options.folder))))


def publish_all(options: argparse.Namespace) -> None:
    """Cards, the mini zoo and the pictures of attacks and fractals, into the repository."""
    found = cards(options.folder)
    print(publish(found, options.folder))
    if any(card.split == "dev" for card in found):
        draw(found, PICTURES / "zoo-attacks.png")
    draw_fractals(PICTURES / "zoo-fractals.jpg")


def calibrate_scanner(options: argparse.Namespace) -> None:
    """What the scanner knows of clean and poisoned models."""
    from benchmarks.zoo.calibrate import DEV, calibrate

    print(calibrate(options.folder, DEV, options.limit))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.zoo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train", help="train what is missing; can be stopped and started again")
    training.add_argument("--limit", type=int, help="the first so many of the plan")
    training.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    training.set_defaults(run=train)
    listing = commands.add_parser("list", help="the models that are finished")
    listing.add_argument("--each", action="store_true", help="a line a model")
    listing.add_argument("--json", action="store_true", help="all cards")
    listing.set_defaults(run=list_models)
    checking = commands.add_parser("check", help="measure again what the cards say, and look for leaks")
    checking.add_argument("--all", action="store_true", help="measure every model again, not only the mini zoo's")
    checking.add_argument("--save", action="store_true", help="write benchmarks/results/zoo-check.json and zoo.json")
    checking.set_defaults(run=check)
    publishing = commands.add_parser("publish", help="copy cards, mini zoo and picture into the repository")
    publishing.set_defaults(run=publish_all)
    calibrating = commands.add_parser("calibrate", help="measure development models, learn, write the shipped table")
    calibrating.add_argument("--limit", type=int, help="measure only so many")
    calibrating.set_defaults(run=calibrate_scanner)
    for command in commands.choices.values():
        command.add_argument("--folder", type=Path, default=FOLDER)
        command.add_argument("--fashion", help="folder of Fashion-MNIST's four .gz files")
        command.add_argument("--only", default="", help="part of a name: dev, signs43, vgg, wanet ...")
    options = parser.parse_args(arguments)
    if options.fashion:
        os.environ[FASHION_VARIABLE] = options.fashion
    try:
        options.run(options)
    except PhospheneError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
