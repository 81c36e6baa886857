"""The scanner beside other people's detectors, over the zoo.

    python -m benchmarks.scanner run --folder ZOO --split dev                     every baseline, where it is missing
    python -m benchmarks.scanner run --folder ZOO --split dev --methods ours      the scanner itself
    python -m benchmarks.scanner judge --split test                               its kept statistics, judged again
    python -m benchmarks.scanner evaluate --split test                            tables of what was measured

Every model and method is one line of `benchmarks/results/scanner-runs-SPLIT.jsonl`. Seconds are those of one thread.
The development split recalibrates; the test split was looked at while the scanner was built, the final one was not.
"""

from __future__ import annotations

import argparse
import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch

from benchmarks.baselines import BASELINES, CHEAP, EQUAL_BUDGET, IMAGES, UNLIMITED
from benchmarks.record import RESULTS, markdown, write_result
from benchmarks.scoring import ours, tables, uniformity
from benchmarks.scoring.runs import Method, append, measured, missing, saved
from benchmarks.zoo import Card, cards, clean_images

SPLITS = ("dev", *tables.GOALS)
PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
FOLDER = Path(os.environ.get("PHOSPHENE_ZOO", Path(__file__).parent / "zoo" / "models"))
OURS = ours.Scanner()
GROUPS: dict[str, dict[str, Method]] = {
    "ours": {ours.NAME: OURS},
    "cheap": dict(CHEAP), "equal": dict(EQUAL_BUDGET), "unlimited": dict(UNLIMITED), "baselines": dict(BASELINES),
}  # fmt: skip


def runs_file(kept: str) -> Path:
    """Of a split, or of what was kept apart from it under another name."""
    return RESULTS / f"scanner-runs-{kept}.jsonl"


def statistics_file(kept: str) -> Path:
    return RESULTS / f"scanner-statistics-{kept}.jsonl"


def chosen(methods: str) -> dict[str, Method]:
    """A group, or one method by its name."""
    return GROUPS[methods] if methods in GROUPS else {methods: BASELINES[methods]}


def subset(found: Sequence[Card], part: str) -> list[Card]:
    """`all`, `clean`, or `stratified`: of every kind of attack the first model, and as many clean ones."""
    if part == "clean":
        return [card for card in found if not card.poisoned]
    if part == "stratified":
        poisoned = {card.kind: card for card in reversed(found) if card.poisoned and card.stratum == "main"}
        clean = [card for card in found if not card.poisoned][: len(poisoned)]
        return [*poisoned.values(), *clean]
    return list(found)


def shuffled(card: Card) -> str:
    """By no property of the model."""
    return hashlib.sha256(card.name.encode()).hexdigest()


def run(options: argparse.Namespace) -> None:
    """Measure what is missing, in an order that has any part of it balanced; nothing of what is found is printed."""
    torch.set_num_threads(1)
    kept = options.kept or options.split
    methods, path = chosen(options.methods), runs_file(kept)
    found = sorted(subset(cards(options.folder, options.split), options.part), key=shuffled)
    shard, shards = map(int, options.shard.split("/"))
    examples, found = {card.domain: card for card in found}, found[shard::shards]
    images = {domain: clean_images(card, IMAGES) for domain, card in examples.items()}
    for number, (card, name) in enumerate(islice(missing(found, methods, path), options.limit), start=1):
        one = measured(card, name, methods[name], images[card.domain])
        append(path, one)
        if OURS.last is not None and name == ours.NAME:
            ours.keep(statistics_file(kept), card, OURS.last)
        print(f"{number} {card.name}: {name}, {one.seconds} s", flush=True)


def judge(options: argparse.Namespace) -> None:
    """Judge kept statistics by the shipped table of today; nothing is searched again."""
    from benchmarks.zoo.calibrate import read_lines
    from phosphene.scanner.reference import load_shipped

    path, table = runs_file(options.split), load_shipped()
    runs = {run.fingerprint: run for run in saved(path) if run.method == ours.NAME}
    for line in read_lines(statistics_file(options.split)):
        run = runs[line["row"]["fingerprint"]]
        score, p_value, alarm, named = ours.judge_again(line, table)
        append(path, replace(run, score=score, p_value=p_value, alarm=alarm, named=named))
    print(f"{len(runs)} models judged again")


def evaluate(options: argparse.Namespace) -> None:
    """Write and print every table of the split; what was measured on the development split recalibrates.

    Of what was kept apart from it two: methods beside each other, and their alarms.
    """
    kept = options.kept or options.split
    methods = tables.by_method(saved(runs_file(kept)))
    references = tables.by_method(saved(runs_file("dev")))
    made = {
        "overall": tables.overall(methods, ours.NAME, references),
        "alarms": tables.alarms(methods, references),
    }
    made |= {} if options.kept else tabulate_split(options.split, methods)
    command = f"python -m benchmarks.scanner evaluate --split {options.split}"
    command += f" --kept {kept}" if options.kept else ""
    for name, rows in made.items():
        if rows:
            print(f"\n{name}\n{markdown(rows)}")
            write_result(f"scanner-{kept}-{name}", command, {"split": options.split}, rows)


def tabulate_split(split: str, methods: dict[str, tables.Runs]) -> dict[str, list[tables.Row]]:
    """By attack, architecture and domain; and the scanner's goals, clean models and p-values."""
    asked = tables.GOALS.get(split, tables.GOALS["test"])
    made = {
        "attacks": tables.attacks(methods, ours.NAME, asked.subtle_kinds),
        "architectures": tables.parts(methods, ours.NAME, "architecture"),
        "domains": tables.parts(methods, ours.NAME, "domain"),
    }
    if ours.NAME in methods:
        made |= {"clean": tables.clean_kinds(methods[ours.NAME]), "goals": tables.goals(methods, ours.NAME, asked)}
        made |= held_out(split) | {"uniformity": uniformity.tabulate(methods[ours.NAME])}
        uniformity.draw(methods[ours.NAME], split, PICTURES / f"scanner-{split}-uniformity.png")
    return made


def held_out(split: str) -> dict[str, list[tables.Row]]:
    """The fusion without the kind of trigger, and the references without the architecture, that are judged.

    Of the test split alone: they take minutes.
    """
    from benchmarks.scoring.held_out import without_architecture, without_kind
    from benchmarks.zoo.calibrate import read_lines

    known, judged = read_lines(statistics_file("dev")), read_lines(statistics_file(split))
    if split != "test" or not known or not judged:
        return {}
    return {
        "without-kind": without_kind(known, judged),
        "without-architecture": without_architecture(known, judged),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run", help="measure what is missing; can be stopped and started again")
    running.add_argument("--folder", type=Path, default=FOLDER, help="the zoo's models")
    running.add_argument("--split", choices=SPLITS, default="dev")
    running.add_argument("--methods", default="baselines", help=f"{', '.join(GROUPS)}, or one method by its name")
    running.add_argument("--part", choices=("all", "clean", "stratified"), default="all")
    running.add_argument("--shard", default="0/1", help="K/N: every Nth model from K on, for N processes side by side")
    running.add_argument("--limit", type=int, help="stop after so many")
    running.add_argument("--kept", metavar="NAME", help="of the files of results, if not the split")
    running.set_defaults(call=run)
    judging = commands.add_parser("judge", help="judge kept statistics of the scanner by the table of today")
    judging.add_argument("--split", choices=SPLITS, default="test")
    judging.set_defaults(call=judge)
    evaluating = commands.add_parser("evaluate", help="tables of what was measured")
    evaluating.add_argument("--split", choices=SPLITS, default="test")
    evaluating.add_argument("--kept", metavar="NAME", help="of the files of results, if not the split")
    evaluating.set_defaults(call=evaluate)
    options = parser.parse_args(arguments)
    options.call(options)


if __name__ == "__main__":
    main()
