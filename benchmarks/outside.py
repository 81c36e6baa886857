"""The scanner on networks that others trained: a folder of weights with `cards.json`.

    python -m benchmarks.outside scan --models DIR       scan what has no scan yet; can be stopped and started again
    python -m benchmarks.outside judge --models DIR      judge the kept statistics by the references of today
    python -m benchmarks.outside table --models DIR      write the table of what was scanned

A card is a record with `file`, `factory` (importable with DIR on the path), `size`, `channels`, `mean`, `std`, `data`
(names of the classes after a colon) and `clean`; a backdoored one has `target`, and `trigger` in words. Each scan is
one JSON file in `--out`, named after its weights. Networks of more classes than `--most` are left out.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.record import RESULTS, markdown, write_result
from benchmarks.scoring.ours import THOROUGH, row_of
from phosphene.model.classifier import Classifier
from phosphene.model.sources.load import load
from phosphene.scanner.judging import judge
from phosphene.scanner.record import Calibration, Named, Scan
from phosphene.scanner.reference import Reference, load_shipped
from phosphene.scanner.scanning import scan
from phosphene.scanner.settings import Settings
from phosphene.scanner.verdict import decide_verdict

Card = Mapping[str, Any]
# The last stage shows what was found and decides nothing: p-value, verdict and target are the same without its length.
QUICK = replace(THOROUGH, long_iterations=10, restarts=1, controls=1, top=1, window_images=2, window_iterations=2)


def read_cards(folder: Path) -> list[Card]:
    found: list[Card] = json.loads((folder / "cards.json").read_text(encoding="utf-8"))
    return found


def open_model(card: Card, folder: Path) -> Classifier:
    """The classifier of a card; weights in half precision are read as float32."""
    name = Path(card["file"]).stem
    return load(
        factory=card["factory"], weights=folder / card["file"], size=card["size"], channels=card["channels"],
        mean=card["mean"], std=card["std"], labels=list_labels(card),
    ).replace(name=name)  # fmt: skip


def list_labels(card: Card) -> list[str] | None:
    """The names after the colon of `data`; None where it has none."""
    _, colon, names = str(card["data"]).partition(":")
    return [name.strip() for name in names.split(",")] if colon and "," in names else None


def scan_missing(options: argparse.Namespace) -> Iterator[str]:
    """Scan whatever has no scan, and say what came of each."""
    for card in read_cards(options.models):
        saved = options.out / f"{Path(card['file']).stem}.json"
        if saved.is_file() or options.only not in card["file"]:
            continue
        classifier = open_model(card, options.models)
        if len(classifier.labels) > options.most:
            yield f"{classifier.name}: {len(classifier.labels)} classes, left out"
            continue
        found = scan(classifier, replace(QUICK if options.quick else THOROUGH, seed=options.seed))
        found.save(saved)
        yield f"{classifier.name}: {found.verdict}, p = {found.p_value:.3g}, {found.seconds:.0f} s"


def judge_again(found: Scan, table: Reference) -> Scan:
    """The same statistics judged by references, as a scan of today would."""
    row = row_of(found)
    others = table.without(row.fingerprint)
    judged = judge(row, others, Settings(**found.settings))
    scores, comparison = judged.fused.scores, judged.comparison
    target = int(np.argmax(scores))
    verdict = decide_verdict(judged.p_value, calibrated=judged.calibrated, classes=row.outputs)
    classes = tuple(replace(one, score=score) for one, score in zip(found.classes, scores, strict=True))
    calibration = Calibration(table.name, judged.references, comparison.outside, comparison.reasons)
    return replace(
        found, verdict=verdict, p_value=judged.p_value, p_internal=judged.fused.internal, p_external=judged.external,
        score=judged.fused.score, classes=classes, calibration=calibration,
        own_classes=judged.own_classes,
        target=None if verdict == "nothing found" else Named(target, found.classes[target].name),
    )  # fmt: skip


def judge_saved(options: argparse.Namespace) -> None:
    """Judge every saved scan by the references of today."""
    table = load_shipped()
    for card, found in list_scans(options):
        judge_again(found, table).save(options.out / f"{Path(card['file']).stem}.json")
    write_table(options)


def make_row(card: Card, found: Scan) -> dict[str, str]:
    """A line of the table."""
    ranked = [one.index for one in found.ranking()]
    rank = "–" if card["clean"] else str(ranked.index(card["target"]) + 1)
    external = "none" if found.p_external is None else f"{found.p_external:.3f}"
    return {
        "network": Path(card["file"]).stem,
        "source": card["source"],
        "backdoored": "no" if card["clean"] else "yes",
        "p": f"{found.p_value:.3f}",
        "external p": external,
        "not compared": name_families(found),
        "verdict": found.verdict,
        "rank of the target": rank,
        "seconds": f"{found.seconds:.0f}",
    }


def name_families(found: Scan) -> str:
    """Families of changes that are left out of the comparison, in the words of the scan."""
    reasons = [reason.partition("(")[2].rstrip(")") for reason in found.calibration.left_out]
    return "; ".join(found.calibration.outside or reasons) or "–"


def list_scans(options: argparse.Namespace) -> list[tuple[Card, Scan]]:
    """Every card whose network was scanned, with its scan."""
    files = [(card, options.out / f"{Path(card['file']).stem}.json") for card in read_cards(options.models)]
    return [(card, Scan.load(path)) for card, path in files if path.is_file()]


def write_table(options: argparse.Namespace) -> None:
    rows = [make_row(card, found) for card, found in list_scans(options)]
    print(markdown(rows))
    write_result("outside", "python -m benchmarks.outside table --models DIR", {"seed": options.seed}, rows)


def run_scans(options: argparse.Namespace) -> None:
    for line in scan_missing(options):
        print(line, flush=True)
    write_table(options)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("scan", "judge", "table"))
    parser.add_argument("--models", type=Path, required=True, help="folder with cards.json")
    parser.add_argument("--out", type=Path, default=RESULTS / "outside", help="folder for the scans")
    parser.add_argument("--only", default="", help="part of a file's name")
    parser.add_argument("--most", type=int, default=200, help="classes beyond which a network is left out")
    parser.add_argument("--quick", action="store_true", help="shorten the last stage, which decides nothing")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    sys.path.insert(0, str(options.models))
    torch.set_num_threads(1)
    {"scan": run_scans, "judge": judge_saved, "table": write_table}[options.command](options)


if __name__ == "__main__":
    main()
