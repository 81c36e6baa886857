"""What the readers answered: named right, readable, by method, with intervals, and how far readers agree."""

from __future__ import annotations

import csv
import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from scipy.stats import t

from benchmarks.reading.classes import first_name
from benchmarks.recognition import format_interval
from phosphene.model.sources.imagenet import imagenet_labels


@dataclass(frozen=True)
class Answer:
    """One reader's answer to one picture."""

    reader: int
    index: int
    method: str
    words: str
    readable: int
    named: bool


def load_answers(folder: Path) -> list[Answer]:
    """The forms of `reader-N/form.csv` that are filled in. Stops at a line that is not an answer."""
    labels = imagenet_labels()
    key = {(one["reader"], one["number"]): one for one in json.loads((folder / "key.json").read_text())}
    answers = []
    for form in sorted(folder.glob("reader-*/form.csv")):
        reader = int(form.parent.name.removeprefix("reader-"))
        names = {line.strip().lower() for line in (form.parent / "names.txt").read_text().splitlines()}
        with form.open(newline="", encoding="utf-8") as file:
            rows = [row for row in list(csv.reader(file))[1:] if any(cell.strip() for cell in row[1:])]
        for number, words, readable, name in rows:
            if readable.strip() not in ("0", "1", "2", "3") or name.strip().lower() not in names:
                raise SystemExit(f"{form}, picture {number}: got {readable!r}, {name!r}; expected 0 to 3 and a name")
            asked = key[reader, int(number)]
            named = name.strip().lower() == first_name(labels[asked["class"]]).lower()
            answers.append(Answer(reader, asked["class"], asked["method"], words, int(readable), named))
    return answers


def summarize(answers: Sequence[Answer], base: str) -> list[dict[str, Any]]:
    """One line a method: named right, readability, the share of each grade, and the paired difference to `base`."""
    by_method = group(answers)
    return [_summarize(name, by_method[name], by_method.get(base, {}), base) for name in by_method]


def group(answers: Sequence[Answer]) -> dict[str, dict[int, list[Answer]]]:
    """Method → class → answers."""
    grouped: dict[str, dict[int, list[Answer]]] = defaultdict(lambda: defaultdict(list))
    for answer in answers:
        grouped[answer.method][answer.index].append(answer)
    return grouped


def _summarize(
    name: str, mine: Mapping[int, Sequence[Answer]], base: Mapping[int, Sequence[Answer]], title: str
) -> dict[str, Any]:
    flat = [answer for some in mine.values() for answer in some]
    shared = sorted(set(mine) & set(base))
    more = [readability(mine[index]) - readability(base[index]) for index in shared]
    return {
        "method": name,
        "classes": len(mine),
        "answers": len(flat),
        "named right": format_interval(torch.tensor([float(answer.named) for answer in flat])),
        "readable (0–3)": format_mean([readability(some) for some in mine.values()]),
        **{f"graded {grade}": sum(answer.readable == grade for answer in flat) for grade in (3, 2, 1, 0)},
        f"readable, over `{title}`": "–" if name == title or len(more) < 2 else format_mean(more, signed=True),
    }


def readability(answers: Sequence[Answer]) -> float:
    return fmean(answer.readable for answer in answers)


def format_mean(numbers: Sequence[float], signed: bool = False) -> str:
    """A mean over classes with its 95% t interval."""
    mean, count = fmean(numbers), len(numbers)
    spread = math.sqrt(sum((number - mean) ** 2 for number in numbers) / max(count - 1, 1) / count)
    reach = float(t.ppf(0.975, max(count - 1, 1))) * spread
    sign = "+" if signed else ""
    return f"{mean:{sign}.2f} ({mean - reach:{sign}.2f} to {mean + reach:{sign}.2f})"


def measure_agreement(answers: Sequence[Answer]) -> dict[str, Any]:
    """Of pairs of readers of the same picture: how many agree whether it is named right, and on the grade."""
    by_picture: dict[tuple[str, int], list[Answer]] = defaultdict(list)
    for answer in answers:
        by_picture[answer.method, answer.index].append(answer)
    pairs = [pair for some in by_picture.values() for pair in combinations(some, 2)]
    if not pairs:
        return {"pairs": 0}
    return {
        "pairs": len(pairs),
        "same name, right or wrong": f"{fmean(one.named == other.named for one, other in pairs):.0%}",
        "same grade": f"{fmean(one.readable == other.readable for one, other in pairs):.0%}",
        "grades at most one apart": f"{fmean(abs(one.readable - other.readable) <= 1 for one, other in pairs):.0%}",
    }
