"""What the comparison has to show, what it shows, and where somebody else is ahead of us."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers.evaluation import JUDGES, Seen
from benchmarks.peers.methods import METHODS, OURS
from benchmarks.record import RESULTS

TIMES = RESULTS / "peers-time.json"
EQUAL = 132  # as many passes as a rival may have beside our `default`


@dataclass(frozen=True)
class Goal:
    """A sentence, what was found, and whether that is what was asked; None: not measured."""

    goal: str
    found: str
    reached: bool | None

    def row(self) -> dict[str, str]:
        words = {True: "yes", False: "**missed**", None: "not measured"}
        return {"goal": self.goal, "found": self.found, "reached": words[self.reached]}


def rates(found: Seen, count: int = 1) -> tuple[float, float]:
    """Top-`count` rate by each of the two judges."""
    first, second = (found.top(count, model).double().mean().item() for model in (1, 2))
    return first, second


def recognised(found: Mapping[str, Seen], name: str, rate: float, passes: int) -> Goal:
    """A preset is recognised often enough by both judges, and cheaply enough."""
    goal = f"`{name}`: top-1 ≥ {rate:.0%} by each judge at ≤ {passes} passes"
    if name not in found:
        return Goal(goal, "–", None)
    got = rates(found[name])
    words = f"{got[0]:.1%} and {got[1]:.1%} at {found[name].passes:.0f} passes, {len(found[name].ranks)} pictures"
    return Goal(goal, words, min(got) >= rate and found[name].passes <= passes)


def ahead(found: Mapping[str, Seen], name: str = "default") -> Goal:
    """Ahead of everybody at as many passes, by both judges, in top-1 and in mean log-probability."""
    goal = f"`{name}` is ahead of every rival at equal passes by both judges"
    rivals = [other for other in found if METHODS[other].tool != OURS and found[other].passes <= EQUAL]
    if name not in found or not rivals:
        return Goal(goal, "–", None)
    behind = [other for other in rivals if any(
        theirs >= mine for theirs, mine in zip(rates(found[other]), rates(found[name]), strict=True))]  # fmt: skip
    best = max(rivals, key=lambda other: sum(rates(found[other])))
    mine, theirs = rates(found[name]), rates(found[best])
    words = f"{mine[0]:.0%} and {mine[1]:.0%}; best rival, {best}: {theirs[0]:.0%} and {theirs[1]:.0%}"
    return Goal(goal, words + (f"; not behind us: {', '.join(behind)}" if behind else ""), not behind)


def quick(times: Mapping[str, float]) -> Iterator[Goal]:
    """Seconds a class of `default`, alone and against each rival's own settings."""
    rivals = {name: times[name] for name, entry in METHODS.items()
              if entry.tool not in (OURS, "a few lines") and entry.defaults and name in times}  # fmt: skip
    mine = times.get("default")
    words = "–" if mine is None else f"{mine:.1f} s"
    yield Goal("`default`: ≤ 5 seconds a class on 2 cores", words, None if mine is None else mine <= 5)
    for name, theirs in rivals.items():
        goal = f"`default` takes at least 4× fewer seconds than {name} with its defaults"
        words = "–" if mine is None else f"{theirs / mine:.1f}× ({theirs:.1f} s)"
        yield Goal(goal, words, None if mine is None else theirs >= 4 * mine)


def times(path: Path = TIMES) -> dict[str, float]:
    """Seconds a class by method, as far as measured."""
    if not path.is_file():
        return {}
    return {name: float(seconds) for name, seconds in json.loads(path.read_text())["settings"]["seconds"].items()}


def goals(found: Mapping[str, Seen]) -> list[dict[str, Any]]:
    """The table of goals."""
    asked = [
        recognised(found, "default", 0.95, 128),
        ahead(found),
        recognised(found, "best", 0.98, 10**9),
        recognised(found, "fast", 0.88, 64),
        *quick(times()),
    ]
    return [goal.row() for goal in asked]


def beaten(found: Mapping[str, Seen], seconds: Mapping[str, float], name: str = "default") -> list[str]:
    """Plain words for whatever a rival does better than `name`."""
    mine, words = found[name], []
    for other, theirs in found.items():
        if METHODS[other].tool == OURS:
            continue
        better = [f"top-{count} by {judge}" for count in (1, 5) for model, judge in enumerate(JUDGES)
                  if rates(theirs, count)[model] > rates(mine, count)[model]]  # fmt: skip
        better += [f"log p by {judge}" for model, judge in enumerate(JUDGES, start=1)
                   if theirs.log_probabilities[:, model].mean() > mine.log_probabilities[:, model].mean()]  # fmt: skip
        better += ["seconds"] if name in seconds and seconds.get(other, seconds[name]) < seconds[name] else []
        if better:
            words.append(f"{other} is ahead of `{name}` in {', '.join(better)}")
    return words
