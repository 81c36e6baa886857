"""One line of JSON a model and method, appended as it is measured: an interrupted run goes on where it stopped."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor

from benchmarks.baselines.opinion import Opinion, StepsAside
from benchmarks.scoring.statistics import overlap
from benchmarks.zoo import Card, load, trigger_mask
from phosphene.model.classifier import Classifier


@dataclass(frozen=True)
class Run:
    """What a method said of a model, beside what is true of it.

    `truth` and `named` are class indices; `alarm` is the method's own rule; `seconds` are of one thread; `iou` is of
    the suspected mask with the trigger's place; `aside` says why a method did not apply, and then it has no score.
    """

    model: str
    fingerprint: str
    method: str
    split: str
    domain: str
    architecture: str
    kind: str
    stratum: str
    poisoned: bool
    adversarial: bool
    truth: int | None
    seconds: float
    score: float | None = None
    classes: tuple[float, ...] = ()
    alarm: bool | None = None
    named: int | None = None
    p_value: float | None = None
    iou: float | None = None
    aside: str = ""


Method = Callable[[Classifier, Tensor], Opinion]


def measured(card: Card, name: str, method: Method, images: Tensor) -> Run:
    """Load the model and ask the method; loading is not counted."""
    classifier = load(card)
    facts = {
        "model": card.name, "fingerprint": card.fingerprint, "method": name, "split": card.split,
        "domain": card.domain, "architecture": card.architecture, "kind": card.kind, "stratum": card.stratum,
        "poisoned": card.poisoned, "adversarial": card.adversarial, "truth": card.target,
    }  # fmt: skip
    started = time.process_time()
    try:
        opinion = method(classifier, images)
    except StepsAside as reason:
        return Run(**facts, seconds=round(time.process_time() - started, 3), aside=str(reason))
    seconds, true = round(time.process_time() - started, 3), trigger_mask(card) if card.poisoned else None
    iou = None if true is None or opinion.mask is None else overlap(opinion.mask.numpy(), true.numpy())
    return Run(
        **facts, seconds=seconds, score=opinion.score, classes=tuple(round(value, 6) for value in opinion.classes),
        alarm=opinion.alarm, named=opinion.target, p_value=opinion.p_value, iou=iou,
    )  # fmt: skip


def saved(path: Path) -> list[Run]:
    """All runs of a file, the last one of a model and method; a line that an interruption cut is left out."""
    found: dict[tuple[str, str], Run] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        run = Run(**{**record, "classes": tuple(record["classes"])})
        found[run.fingerprint, run.method] = run
    return list(found.values())


def missing(cards: Iterable[Card], methods: Mapping[str, Method], path: Path) -> Iterator[tuple[Card, str]]:
    """Models and methods that the file has no run of."""
    done = {(run.fingerprint, run.method) for run in saved(path)}
    return ((card, name) for card in cards for name in methods if (card.fingerprint, name) not in done)


def append(path: Path, run: Run) -> None:
    """One line, at the end; a last line that was cut short is ended first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cut = path.is_file() and path.stat().st_size > 0 and not path.read_bytes().endswith(b"\n")
    with path.open("a", encoding="utf-8") as file:
        file.write(("\n" if cut else "") + json.dumps(asdict(run)) + "\n")
