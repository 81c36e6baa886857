"""The command line of the reading."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import phosphene
from benchmarks.peers.pictures import make_missing
from benchmarks.reading import __doc__ as description
from benchmarks.reading import scoring, sheets
from benchmarks.reading.classes import SETS, classes_of
from benchmarks.reading.methods import METHODS
from benchmarks.record import RESULTS, markdown, write_result

PICTURES = RESULTS / "maps" / "reading"


def make(options: argparse.Namespace) -> None:
    """Pictures that are missing; can be stopped at any time."""
    classifier = phosphene.load("efficientnet_lite0").fold()
    for name in options.names:
        make_missing(name, METHODS[name], classifier, classes_of(options.set)[: options.classes], 0, PICTURES)


def write(options: argparse.Namespace) -> None:
    """Sheets, forms and key."""
    classes = classes_of(options.set)[: options.classes]
    sheets.write_sheets(options.out, classes, options.names, PICTURES, options.rounds, options.seed)
    print(f"{options.rounds * len(options.names)} readers of {len(classes)} pictures each: {options.out}")


def score(options: argparse.Namespace) -> None:
    """The table, and how far the readers agree."""
    answers = [answer for folder in options.folders for answer in scoring.load_answers(folder)]
    rows, agreement = scoring.summarize(answers, options.base), scoring.measure_agreement(answers)
    print(markdown(rows))
    print(agreement)
    settings = {"set": options.set, "readers": options.readers, "agreement": agreement}
    name = f"reading-{options.name or options.set}"
    print(write_result(name, "python -m benchmarks.reading score", settings, rows))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reading",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    making, writing, scored = (commands.add_parser(name) for name in ("make", "sheets", "score"))
    making.add_argument("names", nargs="+", metavar="METHOD", choices=METHODS, help=", ".join(METHODS))
    writing.add_argument("names", nargs="+", metavar="METHOD", help="whatever there are pictures of")
    for one in (making, writing):
        one.add_argument("--classes", type=int, default=max(SETS.values()), help="the first so many of the set")
    for one in (making, writing, scored):
        one.add_argument("--set", choices=SETS, default="development")
    writing.add_argument("--out", type=Path, required=True)
    writing.add_argument("--rounds", type=int, default=2, help="readers of each picture")
    writing.add_argument("--seed", type=int, default=0)
    scored.add_argument("folders", type=Path, nargs="+", help="of `sheets`, one or more, with the forms filled in")
    scored.add_argument("--base", default="default", help="the method that others are compared with")
    scored.add_argument("--name", help="of the table, where it is another one of the same set")
    scored.add_argument("--readers", required=True, help="who read, in words, as the docs will say it")
    for one, run in ((making, make), (writing, write), (scored, score)):
        one.set_defaults(run=run)
    options = parser.parse_args(arguments)
    options.run(options)


if __name__ == "__main__":
    main()
