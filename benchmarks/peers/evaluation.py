"""How the judges classify every picture, and the tables made of it.

Observations are kept in `benchmarks/results/peers-observed.json`: a line a method and seed; for each class the passes
and, for each showing and model (Lite0, Lite1, Lite2), the rank of the class and its log-probability.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import phosphene
from benchmarks.experiments import TOGETHER
from benchmarks.peers.methods import METHODS, OURS, Entry
from benchmarks.peers.pictures import PICTURES, Picture, folder_of, load
from benchmarks.recognition import VERIFIERS, format_interval, random_classes
from benchmarks.record import RESULTS, load_observed, markdown, save_observed, write_result
from phosphene.method.recognition import resize_pictures
from phosphene.model.classifier import Classifier

OBSERVED = RESULTS / "peers-observed.json"
JUDGES = ("Lite1", "Lite2")
COMMAND = "python -m benchmarks.peers run && python -m benchmarks.peers evaluate"

Record = Mapping[str, Mapping[str, Sequence[float]]]


@dataclass(frozen=True)
class Opinion:
    """How one model classifies one picture: the rank of the class, 1 is the first, and its log-probability."""

    rank: int
    log_probability: float


def collect_opinions(classifier: Classifier, pictures: Tensor, classes: Sequence[int]) -> list[Opinion]:
    """Of pictures `(N, 3, h, w)` of any size, shown at the model's own."""
    with torch.no_grad():
        rows = classifier(resize_pictures(pictures, classifier)).double().log_softmax(dim=1)
    return [
        Opinion(int((row > row[index]).sum()) + 1, round(row[index].item(), 3))
        for row, index in zip(rows, classes, strict=True)
    ]


def crop_middle(picture: Tensor, share: float) -> Tensor:
    """The middle of pictures `(..., h, w)`, `share` of their sides."""
    sides = picture.shape[-2:]
    height, width = (round(share * side) for side in sides)
    top, left = (sides[0] - height) // 2, (sides[1] - width) // 2
    return picture[..., top : top + height, left : left + width]


def observe(
    models: Callable[[], Sequence[Classifier]],
    entries: Mapping[str, Entry],
    observed: Path = OBSERVED,
    root: Path = PICTURES,
) -> None:
    """Write down what was not observed yet: passes, then rank and log-probability by each model, showing by showing.

    `models` is called when there is something to observe.
    """
    record = load_observed(observed)
    for name, entry in entries.items():
        for seed in entry.seeds:
            key, target = f"{name} / {seed}", folder_of(name, seed, root)
            missing = [index for index in random_classes(0, 100) if str(index) not in record.get(key, {})]
            found = [(index, one) for index in missing if (one := load(target / f"{index}.safetensors")) is not None]
            for start in range(0, len(found), TOGETHER):
                made = dict(found[start : start + TOGETHER])
                record.setdefault(key, {}).update(judge(models(), entry, made))
                save_observed(observed, record)


def judge(models: Sequence[Classifier], entry: Entry, made: Mapping[int, Picture]) -> dict[str, list[float]]:
    """By class: passes, then rank and log-probability by each model of each crop."""
    pictures, classes = torch.stack([one.picture for one in made.values()]), list(made)
    opinions = [
        collect_opinions(model, crop_middle(pictures, share), classes) for share in entry.crops for model in models
    ]
    return {
        str(index): [one.passes, *(number for each in row for number in (each.rank, each.log_probability))]
        for (index, one), row in zip(made.items(), zip(*opinions, strict=True), strict=True)
    }


@dataclass(frozen=True)
class Observations:
    """How the three models classify the pictures of a method, in the crop that suits it best."""

    passes: float
    share: float
    classes: tuple[int, ...]  # of each picture
    ranks: Tensor  # (pictures, 3): the network itself, then the two judges
    log_probabilities: Tensor  # (pictures, 3)

    def top(self, count: int, model: int) -> Tensor:
        """1 for each picture whose class is among the first `count`, else 0."""
        return (self.ranks[:, model] <= count).double()

    def select(self, classes: Collection[int]) -> Observations:
        """The pictures of these classes alone: methods are compared on what both have made."""
        rows = [number for number, index in enumerate(self.classes) if index in classes]
        selected = tuple(self.classes[number] for number in rows)
        return replace(self, classes=selected, ranks=self.ranks[rows], log_probabilities=self.log_probabilities[rows])

    def measure_all(self) -> dict[str, float]:
        """Whatever a method can be ahead in, by judge."""
        numbers: dict[str, float] = {}
        for model, judge in enumerate(JUDGES, start=1):
            numbers[f"{judge} top-1"] = self.top(1, model).mean().item()
            numbers[f"{judge} top-5"] = self.top(5, model).mean().item()
            numbers[f"{judge} log p"] = self.log_probabilities[:, model].mean().item()
        return numbers


def collect(name: str, entry: Entry, record: Record) -> Observations | None:
    """All seeds together; None where no picture was judged."""
    rows = [(int(index), row) for seed in entry.seeds for index, row in record.get(f"{name} / {seed}", {}).items()]
    if not rows:
        return None
    table = torch.tensor([row for _, row in rows], dtype=torch.float64)
    numbers = table[:, 1:].unflatten(1, (len(entry.crops), 3, 2))  # crop, model, rank and log p
    best = int(numbers[:, :, 1:, 1].mean(dim=(0, 2)).argmax())
    classes = tuple(index for index, _ in rows)
    return Observations(
        table[:, 0].mean().item(), entry.crops[best], classes, numbers[:, best, :, 0], numbers[:, best, :, 1]
    )


def list_leads(theirs: Observations, mine: Observations) -> list[str]:
    """The measures in which a method is ahead, on the classes that both have made."""
    shared = set(theirs.classes) & set(mine.classes)
    others, own = theirs.select(shared).measure_all(), mine.select(shared).measure_all()
    return [measure for measure in own if others[measure] > own[measure]]


def summarize(name: str, entry: Entry, found: Observations, default: Observations | None) -> dict[str, Any]:
    """One line of the table of recognition; a rival's says in plain words where it is ahead of `default`."""
    cells: dict[str, Any] = {
        "method": f"**{name}**" if entry.tool == OURS else name,
        "passes": f"{found.passes:.0f}",
        "pictures": len(found.ranks),
        "shown": "whole" if found.share == 1 else f"middle {found.share:.0%}",
        "Lite0 top-1": f"{found.top(1, 0).mean():.0%}",
    }
    for model, judge in enumerate(JUDGES, start=1):
        cells[f"{judge} top-1"] = format_interval(found.top(1, model))
        cells[f"{judge} top-5"] = format_interval(found.top(5, model))
        cells[f"{judge} log p"] = f"{found.log_probabilities[:, model].mean():.2f}"
    ahead = list_leads(found, default) if default is not None and entry.tool != OURS else []
    cells["ahead of `default` in"] = ", ".join(ahead) or ("–" if entry.tool == OURS else "nothing")
    return cells


def evaluate() -> dict[str, Observations]:
    """Let the judges classify new pictures and write the table of recognition; observations by method."""
    observe(cache(lambda: [phosphene.load(name).fold() for name in ("efficientnet_lite0", *VERIFIERS)]), METHODS)
    record = load_observed(OBSERVED)
    found = {name: one for name, entry in METHODS.items() if (one := collect(name, entry, record)) is not None}
    rows = [summarize(name, METHODS[name], one, found.get("default")) for name, one in found.items()]
    settings = {"classes": random_classes(0, 100), "judges": VERIFIERS}
    print(markdown(rows))
    print(write_result("peers", COMMAND, settings, rows))
    return found
