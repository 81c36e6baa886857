"""What the comparison has to show, what it shows, and where another tool is ahead of us."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers.evaluation import Observations
from benchmarks.peers.methods import METHODS, OURS
from benchmarks.peers.timing import PICTURE
from benchmarks.record import RESULTS

TIMES = RESULTS / "peers-time.json"
ASKED = 100  # classes
EQUAL = 132  # as many passes as a rival may have beside our `default`


@dataclass(frozen=True)
class Goal:
    """A sentence, what was found, and whether that is what was asked; None: not measured.

    What was asked of 100 classes is not decided by fewer.
    """

    goal: str
    found: str
    reached: bool | None
    classes: int = ASKED

    def row(self) -> dict[str, str]:
        words = {True: "yes", False: "**missed**", None: "not measured"}[self.reached]
        if self.reached is not None and self.classes < ASKED:
            words = f"undecided: {self.classes} of {ASKED} classes"
        return {"goal": self.goal, "found": self.found, "reached": words}


def measure_rates(found: Observations, count: int = 1) -> tuple[float, float]:
    """Top-`count` rate by each of the two judges."""
    first, second = (found.top(count, model).double().mean().item() for model in (1, 2))
    return first, second


def judge_recognition(found: Mapping[str, Observations], name: str, rate: float, passes: float = math.inf) -> Goal:
    """A preset is recognised often enough by both judges, and cheaply enough."""
    limit = "" if passes == math.inf else f" at ≤ {passes:.0f} passes"
    goal = f"`{name}`: top-1 ≥ {rate:.0%} by each judge{limit}"
    if name not in found:
        return Goal(goal, "–", None)
    got = measure_rates(found[name])
    words = f"{got[0]:.1%} and {got[1]:.1%} at {found[name].passes:.0f} passes, {len(found[name].ranks)} pictures"
    return Goal(goal, words, min(got) >= rate and found[name].passes <= passes, len(set(found[name].classes)))


def judge_lead(found: Mapping[str, Observations], name: str = "default") -> Goal:
    """Ahead of every other tool at as many passes, in top-1 by both judges, on the classes that both have made."""
    goal = f"`{name}` is ahead of every rival at equal passes by both judges"
    rivals = [other for other in found if METHODS[other].tool != OURS and found[other].passes <= EQUAL]
    if name not in found or not rivals:
        return Goal(goal, "–", None)
    words, level, fewest = [], False, ASKED
    for other in rivals:
        shared = set(found[other].classes) & set(found[name].classes)
        mine, theirs = (measure_rates(found[one].select(shared)) for one in (name, other))
        level = level or any(their >= my for my, their in zip(mine, theirs, strict=True))
        against = " and ".join(f"{my:.1%} to {their:.1%}" for my, their in zip(mine, theirs, strict=True))
        fewest = min(fewest, len(shared))
        words.append(f"{other} {against} ({len(shared)} classes)")
    return Goal(goal, "; ".join(words), not level, fewest)


def judge_speed(times: Mapping[str, float]) -> Iterator[Goal]:
    """Seconds a class of `default`, alone and against each rival's own settings."""
    tools = [name for name, entry in METHODS.items() if entry.tool not in (OURS, "a few lines") and entry.defaults]
    rivals = {name: times[name] for name in tools if name in times}
    mine = times.get("default")
    words = "–" if mine is None else f"{mine:.1f} s"
    yield Goal("`default`: ≤ 5 seconds a class on 2 cores", words, None if mine is None else mine <= 5)
    for name, theirs in rivals.items():
        goal = f"`default` takes at least 4× fewer seconds than {name} with its defaults"
        words = "–" if mine is None else f"{theirs / mine:.1f}× ({theirs:.1f} s)"
        if PICTURE in times:
            words += f"; of our picture alone, without evidence, {theirs / times[PICTURE]:.1f}×"
        yield Goal(goal, words, None if mine is None else theirs >= 4 * mine)


def load_times(path: Path = TIMES) -> dict[str, float]:
    """Seconds a class by method, as far as measured."""
    if not path.is_file():
        return {}
    return {name: float(seconds) for name, seconds in json.loads(path.read_text())["settings"]["seconds"].items()}


def list_goals(found: Mapping[str, Observations]) -> list[dict[str, Any]]:
    """The table of goals."""
    asked = [
        judge_recognition(found, "default", 0.95, 128),
        judge_lead(found),
        judge_recognition(found, "best", 0.98),
        judge_recognition(found, "fast", 0.88, 64),
        *judge_speed(load_times()),
    ]
    return [goal.row() for goal in asked]
