"""Scores as tables of short texts, for whatever shows them: the command line, the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from phosphene.evidence.similarity import WAYS

LAID = {"map": "the map", "random": "a random map", "other": "another class's map", "nothing": "nothing"}
GROUNDS = {
    "flat": "flat colours",
    "gaussian": "Gaussian noise",
    "uniform": "uniform noise",
    "pink": "1/f noise",
    "photographs": "photographs",
}
DIRECTIONS = {"plus": "laid on", "minus": "its negative", "random": "a random map"}
STAGES = {"head": "last layer", "top third": "top third", "top two thirds": "top two thirds", "untrained": "untrained"}


@dataclass(frozen=True)
class Cell:
    """A value as text with its 95% interval, and the number itself where it is one."""

    text: str
    interval: str = ""
    value: float | None = None

    def __str__(self) -> str:
        return f"{self.text} ({self.interval})" if self.interval else self.text


@dataclass(frozen=True)
class Table:
    """Rows of cells; the first of each names it."""

    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def tables(record: Mapping[str, Any]) -> dict[str, Table]:
    """The tables of a run, by score, from what its `evidence.json` says."""
    return {name: table(record["scores"][name]) for name, table in TABLES.items() if name in record["scores"]}


def percent(share: float) -> str:
    """Only none and all are called 0% and 100%."""
    if share in (0, 1):
        return f"{share:.0%}"
    return "<0.1%" if 0 < share < 0.001 else ">99.9%" if 0.999 < share < 1 else f"{share:.1%}".replace("-", "−")


def signed(number: float) -> str:
    return f"{number:.2f}".replace("-", "−")


def _cell(estimate: Any, worded: Callable[[float], str] = percent) -> Cell:
    """Of an estimate with its interval, or of a bare number."""
    if not isinstance(estimate, Mapping):
        return Cell(worded(estimate), value=estimate)
    low, high = estimate.get("low"), estimate.get("high")
    interval = "" if low is None or high is None else f"{worded(low)} to {worded(high)}"
    return Cell(worded(estimate["value"]), interval, estimate["value"])


def _table(header: Sequence[str], *rows: Sequence[str | Cell]) -> Table:
    return Table(
        tuple(header), tuple(tuple(Cell(cell) if isinstance(cell, str) else cell for cell in row) for row in rows)
    )


def _recognition(score: Mapping[str, Any]) -> Table:
    return _table(("verifier", "top-1", "top-5", "log-probability"), *(
        (seen["model"], _cell(seen["top1"]), _cell(seen["top5"]), _cell(seen["log_probability"], signed))
        for seen in score["verifiers"]))  # fmt: skip


def _agnosticity(score: Mapping[str, Any]) -> Table:
    rates = score["rates"]
    laid = [name for name in LAID if any(name in row for row in rates.values())]
    rows = [[Cell(words), *(_cell(rates[ground][name]) if name in rates[ground] else Cell("") for name in laid)]
            for ground, words in GROUNDS.items() if ground in rates]  # fmt: skip
    return _table(("top-1 on", *(LAID[name] for name in laid)), *rows)


def _gain(score: Mapping[str, Any]) -> Table:
    steps = [f"{epsilon:.0%}" for epsilon in score["epsilon"][:-1]]
    rows = [[Cell(words), *(_cell(value, signed) for value in (*score[name][:-1], score["full"][name]))]
            for name, words in DIRECTIONS.items()]  # fmt: skip
    return _table(("share of the map", *steps, "100%"), *rows)


def _sanity(score: Mapping[str, Any]) -> Table:
    stages = score["stages"]
    rows = [[Cell(words), *(cell for way in WAYS for cell in (*_likeness(stages[stage][way]),
                                                              _own_class(stages[stage][way].get("own_class"))))]
            for stage, words in STAGES.items()]  # fmt: skip
    header = ("drawn anew", *(title for way in WAYS for title in (way, "separation", "own class")))
    name, features, blank, spectrum, _ = _between(score["between"])
    return _table(header, *rows, (name, features, blank, blank, spectrum, blank, blank))


def _own_class(told: Mapping[str, float] | None) -> Cell:
    if told is None:
        return Cell("")
    return Cell(f"{signed(told['separation'])}, p {signed(told['chance'])}", value=told["separation"])


def _stability(score: Mapping[str, Any]) -> Table:
    alike = [cell for way in WAYS for cell in _likeness(score[way])]
    return _table(("pairs", *_ways()), ("seeds of one class", *alike), _between(score["between"]))


def _ways() -> tuple[str, ...]:
    return tuple(title for way in WAYS for title in (way, "separation"))


def _likeness(alike: Mapping[str, Any]) -> tuple[Cell, Cell]:
    apart = alike["separation"]
    return _cell(alike["mean"], signed), Cell("") if apart is None else _cell(apart, signed)


def _between(between: Mapping[str, Any]) -> tuple[str | Cell, ...]:
    cells = [(_cell(between[way], signed), Cell("")) if way in between else (Cell(""), Cell("")) for way in WAYS]
    return ("different classes", *(cell for pair in cells for cell in pair))


def _classes(score: Mapping[str, Any]) -> Table:
    return _table(("similarity", *WAYS), ("maps of different classes", *(_cell(score[way], signed) for way in WAYS)))


def _entanglement(score: Mapping[str, Any]) -> Table:
    return _table(("map of", "raises", "of its own rise"),
                  *((pair["map_of"], pair["raises"], _cell(pair["share"])) for pair in score["pairs"]))  # fmt: skip


def _complexity(score: Mapping[str, Any]) -> Table:
    return _table(("importance", "value"), ("Gini index", _cell(score["gini"], signed)),
                  ("effective area", _cell(score["effective_area"])))  # fmt: skip


def _refinement(score: Mapping[str, Any]) -> Table:
    names = {"probability": "fidelity: probability", "top1": "fidelity: top-1"}
    rows = [[Cell(words), *(_cell(score[when][name]) for when in ("before", "after"))] for name, words in names.items()]
    kept = [[Cell(f"share of the {words}"), Cell("100%"), _cell(score[name])]
            for words, name in (("evidence", "inside"), ("area", "area"))]  # fmt: skip
    return _table(("", "whole map", "masked map"), *rows, *kept)


TABLES: dict[str, Callable[[Mapping[str, Any]], Table]] = {
    "recognition": _recognition,
    "agnosticity": _agnosticity,
    "gain": _gain,
    "sanity": _sanity,
    "classes": _classes,
    "stability": _stability,
    "entanglement": _entanglement,
    "complexity": _complexity,
    "refinement": _refinement,
}


def of_map(evidence: Mapping[str, Any]) -> Table:
    """What was measured of one map, each score beside what it is compared with."""
    rows = [row for name, worded in OF_MAP.items() if name in evidence for row in worded(evidence[name])]
    return _table(("score", "this map", "beside"), *rows)


Rows = list[tuple[str | Cell, ...]]


def _recognised(entry: Mapping[str, Any]) -> Rows:
    return [(f"recognised by {seen['model']}", "top-1" if seen["top1"] else "top-5" if seen["top5"] else "no",
             f"log-probability {signed(seen['log_probability'])}") for seen in entry["opinions"]]  # fmt: skip


def _everywhere(entry: Mapping[str, Any]) -> Rows:
    """Noise of all kinds in one line, photographs in another."""
    noise = [rates for ground, rates in entry["rates"].items() if ground != "photographs"]
    mean = {name: sum(rates[name] for rates in noise) / len(noise) for name in noise[0]}
    found: Rows = [("top-1 on unseen noise", _cell(mean["map"]), _controls(mean, entry))]
    if photographs := entry["rates"].get("photographs"):
        found.append(("top-1 on photographs", _cell(photographs["map"]), _controls(photographs, entry)))
    return found


def _controls(rates: Mapping[str, float], entry: Mapping[str, Any]) -> str:
    named = {**LAID, "other": f"the map of {entry['other']}"}
    return ", ".join(f"{named[name]} {percent(rates[name])}" for name in LAID if name in rates and name != "map")


def _gained(entry: Mapping[str, Any]) -> Rows:
    beside = f"its negative {signed(entry['minus'][-1])}, a random map {signed(entry['random'][-1])}"
    return [("gain of the score", _cell(entry["plus"][-1], signed), beside)]


def _forgotten(entry: Mapping[str, Any]) -> Rows:
    last = entry["stages"]["untrained"]
    beside = ", ".join(f"{words} {signed(entry['stages'][stage]['features'])}" for stage, words in STAGES.items())
    return [("similarity to the untrained model's map", _cell(last["features"], signed), beside)]


def _other_classes(entry: Mapping[str, Any]) -> Rows:
    seen = entry["features"]
    return [
        ("similarity to other classes", _cell(seen["mean"], signed), f"most to {seen['whose']}, {signed(seen['most'])}")
    ]


def _other_seeds(entry: Mapping[str, Any]) -> Rows:
    same = entry["same"]["features"]
    return [("similarity to its other seeds", _cell(sum(same) / len(same), signed), f"{1 + entry['seeds']} seeds")]


def _concentrated(entry: Mapping[str, Any]) -> Rows:
    return [("effective area", _cell(entry["effective_area"]), f"Gini index {signed(entry['gini'])}")]


def _kept(entry: Mapping[str, Any]) -> Rows:
    before, after = (percent(entry[when]["probability"]) for when in ("before", "after"))
    return [("evidence inside the mask", _cell(entry["inside"]),
             f"{percent(entry['area'])} of the area; fidelity {before} whole, {after} masked")]  # fmt: skip


OF_MAP: dict[str, Callable[[Mapping[str, Any]], Rows]] = {
    "recognition": _recognised,
    "agnosticity": _everywhere,
    "gain": _gained,
    "sanity": _forgotten,
    "classes": _other_classes,
    "stability": _other_seeds,
    "complexity": _concentrated,
    "refinement": _kept,
}
