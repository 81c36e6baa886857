"""The sentences, tables and the page of study 4."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from phosphene.core.intervals import auc, newcombe
from phosphene.studies.folder import Study, Table
from phosphene.studies.signature.attacks import ATTACKS
from phosphene.studies.signature.experiment import Results, Settings, compare, measure
from phosphene.studies.signature.figures import draw_figures
from phosphene.studies.words import join_names

WORKS = 0.9  # success from which a network counts as backdoored


def run(
    settings: Settings, out: Path, on_progress: Callable[[str], None], command: str, models: Path | None = None
) -> Study:
    """Measure, resuming from the files in `out`, and draw the figures there."""
    results = measure(settings, out, on_progress, models)
    compared = {name: compare(results, name, settings.target) for name in results.poisoned}
    return Study(
        name="signature",
        title="Does a map show the backdoor?",
        question="The paper says that input-agnostic maps identify the signature of a backdoor. Here are the maps of networks with one, "
        "beside those of clean twins, for triggers of every kind.",
        answers=write_answers(results, compared),
        figures=draw_figures(results, out, settings.target),
        tables=build_tables(results, compared),
        reading=write_reading(results, compared),
        settings=asdict(settings),
        command=command,
    )


def write_answers(results: Results, compared: dict[str, dict[str, Any]]) -> list[str]:
    shown = [name for name, row in compared.items() if row["visible"]]
    missed = [name for name in compared if name not in shown]
    placed = {name: row for name, row in compared.items() if "lift" in row}
    answers = [
        f"In {len(shown)} of {len(compared)} backdoored networks the target's map has more of the trigger than every other map of the network "
        f"and of its clean twin: {join_names(shown) or 'none'}.",
        f"No map shows {join_names(missed)}." if missed else "Every trigger is shown.",
        _write_rule(results),
    ]
    if placed:
        lifts = "; ".join(
            f"{name} {row['lift']:.1f} (twin {row['lift of the twin']:.1f})" for name, row in placed.items()
        )
        answers.insert(1, f"Energy of the target's map at the trigger's place, 1 by chance: {lifts}.")
    return answers


def _write_rule(results: Results) -> str:
    poisoned = [network.numbers["score"] for network in results.poisoned.values()]
    clean = [network.numbers["score"] for network in results.clean]
    area = auc(poisoned, clean)
    low, high = newcombe(area, len(poisoned), len(clean))
    return (
        f"A simple rule that sees the maps and knows no trigger (does one map stand out in concentration or roughness?) tells {len(poisoned)} "
        f"backdoored from {len(clean)} clean networks with an area of {area:.2f} [{low:.2f}, {high:.2f}]; 0.5 is chance."
    )


def build_tables(results: Results, compared: dict[str, dict[str, Any]]) -> list[Table]:
    tables = [
        Table(
            "By attack",
            "Likeness: correlation of a map with the mean change that the trigger makes. Lift: energy of the map at the trigger's place over "
            "the place's share of the area. Containing: maps of all classes whose likeness exceeds that of every map of the clean twin.",
            [_make_row(results, name, row) for name, row in compared.items()],
        ),
        Table(
            "Clean networks",
            "The rule's score is how far the most unusual map of a network stands out, in deviations of the others.",
            [
                {
                    "network": one.name,
                    "accuracy": f"{one.numbers['accuracy']:.2f}",
                    "rule": f"{one.numbers['score']:.1f}",
                }
                for one in results.clean
            ],
        ),
    ]
    if results.public:
        tables.append(Table("Networks that others trained", "As above.", _list_public(results)))
    return tables


def _make_row(results: Results, name: str, row: dict[str, Any]) -> dict[str, str]:
    numbers = results.poisoned[name].numbers
    works = "" if numbers["success"] >= WORKS else " (weak)"

    def show(key: str) -> str:
        return f"{row[key]:.2f}" if key in row else "–"

    return {
        "attack": name,
        "source": ATTACKS[name].source,
        "accuracy": f"{numbers['accuracy']:.2f}",
        "success": f"{numbers['success']:.2f}{works}",
        "likeness: target": show("likeness"),
        "others": show("likeness of others"),
        "twin": show("likeness of the twin"),
        "lift: target": show("lift"),
        "others ": show("lift of others"),
        "twin ": show("lift of the twin"),
        "containing": f"{row['containing']} of {len(results.names)}",
        "rule": f"{numbers['score']:.1f}",
        "shown": "yes" if row["visible"] else "no",
    }


def _list_public(results: Results) -> list[dict[str, str]]:
    return [
        {
            "network": card.name,
            "backdoored": "no" if card.target is None else f"yes, target {card.target}",
            "rule": f"{network.numbers['score']:.1f}",
        }
        for card, network in results.public
    ]


def write_reading(results: Results, compared: dict[str, dict[str, Any]]) -> list[str]:
    weak = [name for name, one in results.poisoned.items() if one.numbers["success"] < WORKS]
    contained = [name for name, row in compared.items() if row["containing"] > 1]
    return [
        "A map shows what raises a class on any background. A trigger does, so it can be in the target's map, but the class's own object does "
        "too, and a map has room for both. Whoever reads maps looks for what does not belong to the object.",
        f"The trigger is in maps of other classes as well for {join_names(contained)}: all maps of a network are made from the same features."
        if contained
        else "No trigger is in the maps of other classes.",
        "Triggers that have no pattern of their own (a distortion, fewer grey levels, a change of colours) change an image by what is in it. "
        "Their mean change is no picture, and a map, which is added to every image alike, cannot hold them: for these there is the scan.",
        f"Triggers that work on fewer than {WORKS:.0%} of the images: {join_names(weak)}."
        if weak
        else "Every trigger works.",
        "One network an attack, of one small architecture: an illustration with numbers, no rate. The scan's results have rates.",
    ]
