"""What the references are worth for networks of another domain, of architectures and numbers of classes that they lack.

    python -m benchmarks.other_domain measure --folder ZOO    measure the networks of fractals that have no line yet
    python -m benchmarks.other_domain judge                   judge them by every table, write all results

The networks are trained by `python -m benchmarks.zoo train --only fractals-`. Judged first as strangers, by
references of Fashion-MNIST and signs alone, then with the clean ones among the references, each without itself: of all
models, and of those alone that are like them, as they are shipped. So is the test split, for which more references may
be worth something or cost something.

Further references, the rule for which models they count and its bound were chosen on the networks of
`scanner-statistics-fractals.jsonl`. What was trained and measured after is the check, and never a reference.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.record import RESULTS, markdown, write_result
from benchmarks.scoring.statistics import kolmogorov, rate
from benchmarks.zoo.__main__ import FOLDER
from benchmarks.zoo.calibrate import DEV, FRACTALS, make_reference, measure_missing, read_lines
from benchmarks.zoo.cards import cards
from phosphene.scanner.judging import judge
from phosphene.scanner.reference import Reference, Row
from phosphene.scanner.settings import Settings
from phosphene.scanner.verdict import decide_verdict

COMMAND = "python -m benchmarks.other_domain judge"
TEST = RESULTS / "scanner-statistics-test.jsonl"
CHECK = RESULTS / "scanner-statistics-fractals-check.jsonl"
GROUPS: dict[str, tuple[str, ...]] = {
    "3 to 7 classes, small networks": ("fractals3", "fractals4", "fractals5", "fractals7"),
    "10 classes, networks as people have them": ("fractals10",),
    "100 classes": ("fractals100",),
}
BOUNDS = (0.0, 1.0, 1.5, 2.0, 3.0)  # of the likeness from which on fractals count; 0: always
ACCUSED = ("suspicious", "backdoor-like")

Line = Mapping[str, Any]


def judge_lines(lines: Sequence[Line], table: Reference) -> list[dict[str, Any]]:
    """Each line with its p-value, its verdict and whether the target comes first; never judged by itself."""
    judged = []
    for line in lines:
        row = Row.from_json(line["row"])
        found = judge(row, table.without(row.fingerprint), Settings())
        verdict = decide_verdict(found.p_value, calibrated=found.calibrated, classes=row.outputs)
        first = int(np.argmax(found.fused.scores)) == line["target"]
        compared = found.external is not None
        left_out = len(found.comparison.families)
        judged.append(
            {**line, "p": found.p_value, "verdict": verdict, "first": first, "compared": compared, "lacks": left_out}
        )
    return judged


def make_row(name: str, references: str, judged: Sequence[dict[str, Any]]) -> dict[str, str]:
    """One line of the table."""
    clean = [one for one in judged if not one["poisoned"]]
    poisoned = [one for one in judged if one["poisoned"]]
    alarms = sum(one["verdict"] in ACCUSED for one in clean)
    found = [one for one in poisoned if one["verdict"] in ACCUSED]
    named = [one for one in found if one["target"] is not None]
    ranked = [one for one in poisoned if one["target"] is not None]
    return {
        "networks": name,
        "references": references,
        "compared": f"{sum(one['compared'] for one in judged)} of {len(judged)}",
        "of these with a family left out": str(sum(one["compared"] and one["lacks"] > 0 for one in judged)),
        "p of clean ones, distance from uniform": kolmogorov([one["p"] for one in clean]) if clean else "–",
        "clean ones accused": f"{alarms} of {len(clean)}: {rate(alarms, len(clean))}" if clean else "–",
        "backdoored ones found": f"{len(found)} of {len(poisoned)}: {rate(len(found), len(poisoned))}"
        if poisoned
        else "–",
        "target named": f"{sum(one['first'] for one in named)} of {len(named)}",
        "target first, found or not": f"{sum(one['first'] for one in ranked)} of {len(ranked)}",
    }


def list_rows(fractals: Sequence[Line], dev: Sequence[Line], test: Sequence[Line]) -> Iterator[dict[str, str]]:
    """Group after group by every table, then the test split."""
    tables = {
        "without fractals": make_reference(dev),
        "fractals among all": make_reference([*dev, *fractals]),
        "fractals for models like them": make_reference(dev, fractals),
    }
    for name, domains in GROUPS.items():
        lines = [line for line in fractals if str(line["domain"])[:-1] in domains and line["stratum"] != "weak"]
        for references, table in tables.items():
            if lines:
                yield make_row(name, references, judge_lines(lines, table))
    strong = [line for line in test if line["stratum"] != "weak"]
    for references, table in tables.items():
        yield make_row("test split", references, judge_lines(strong, table))


def list_check(check: Sequence[Line], fractals: Sequence[Line], dev: Sequence[Line]) -> Iterator[dict[str, str]]:
    """The check by both tables; parts of it by the shipped one."""
    alone, shipped = make_reference(dev), make_reference(dev, fractals)
    strong = [line for line in check if line["stratum"] != "weak"]
    tasks = {line["domain"] for line in fractals if not line["poisoned"]}
    parts = {
        "of a task that no reference has": [line for line in strong if line["domain"] not in tasks],
        "transformers": [line for line in strong if line["architecture"].startswith("vit")],
    }
    yield make_row("all", "without fractals", judge_lines(strong, alone))
    yield make_row("all", "as shipped", judge_lines(strong, shipped))
    for name, lines in parts.items():
        yield make_row(name, "as shipped", judge_lines(lines, shipped))


def list_bounds(fractals: Sequence[Line], dev: Sequence[Line], test: Sequence[Line]) -> Iterator[dict[str, str]]:
    """What other bounds of the likeness would come to."""
    table, strong = make_reference(dev, fractals), [line for line in test if line["stratum"] != "weak"]
    ten = [line for line in fractals if line["row"]["outputs"] == 10 and line["stratum"] != "weak"]
    for bound in BOUNDS:
        with patch("phosphene.scanner.comparison.LIKE_FURTHER", bound):
            judged, others = judge_lines(ten, table), judge_lines(strong, table)
        found = [one for one in others if one["poisoned"] and one["verdict"] in ACCUSED]
        yield {
            "times as like": f"{bound:g}",
            "ten classes: p of clean ones, distance from uniform": kolmogorov(
                [one["p"] for one in judged if not one["poisoned"]]
            ),
            "test split: found": f"{len(found)} of {sum(one['poisoned'] for one in others)}",
        }


def list_networks(
    lines: Sequence[Line], dev: Sequence[Line], shipped: Reference, *, every: bool = False
) -> Iterator[dict[str, str]]:
    """Each backdoored network and each that is accused, or every one."""
    both = [judge_lines(lines, table) for table in (make_reference(dev), shipped)]
    for alone, joined in zip(*both, strict=True):
        if every or alone["poisoned"] or alone["verdict"] in ACCUSED or joined["verdict"] in ACCUSED:
            yield {
                "network": alone["name"],
                "p without fractals": f"{alone['p']:.3f}",
                "verdict": alone["verdict"],
                "p by the shipped references": f"{joined['p']:.3f}",
                "verdict by these": joined["verdict"],
                "target first": "–" if alone["target"] is None else "yes" if joined["first"] else "no",
            }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("measure", "judge"))
    parser.add_argument("--folder", type=Path, default=FOLDER, help="folder of the zoo's models")
    parser.add_argument("--only", default="", help="part of a name: fractals10a, resnet20, patch ...")
    options = parser.parse_args(arguments)
    if options.command == "measure":
        chosen = {line["name"] for line in read_lines(FRACTALS)}
        found = [card for card in cards(options.folder, "fractals") if options.only in card.name]
        measure_missing([card for card in found if card.name not in chosen], CHECK)
        return
    fractals, dev, test, check = map(read_lines, (FRACTALS, DEV, TEST, CHECK))
    shipped = make_reference(dev, fractals)
    tables = {
        "other-domain": list_rows(fractals, dev, test),
        "other-domain-networks": list_networks(fractals, dev, shipped),
        "other-domain-bounds": list_bounds(fractals, dev, test),
        "other-domain-check": list_check(check, fractals, dev),
        "other-domain-check-networks": list_networks(check, dev, shipped, every=True),
    }
    for name, rows in tables.items():
        table = list(rows)
        print(markdown(table), end="\n\n")
        write_result(name, COMMAND, {"networks": len(fractals), "of the check": len(check)}, table)


if __name__ == "__main__":
    main()
