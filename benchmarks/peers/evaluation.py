"""What the judges say of every picture, and the tables made of it.

What was seen is kept in `benchmarks/results/peers-observed.json`: a line a method and seed; for each class the passes
and, for each showing and model (Lite0, Lite1, Lite2), the rank of the class and its log-probability.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import phosphene
from benchmarks.experiments import keep_observed, kept
from benchmarks.peers.methods import METHODS, OURS, Entry
from benchmarks.peers.pictures import PICTURES, folder, load
from benchmarks.recognition import VERIFIERS, interval, random_classes
from benchmarks.record import RESULTS, markdown, write_result
from phosphene.classifier import Classifier
from phosphene.fidelity import resized

OBSERVED = RESULTS / "peers-observed.json"
JUDGES = ("Lite1", "Lite2")
COMMAND = "python -m benchmarks.peers run && python -m benchmarks.peers evaluate"

Record = Mapping[str, Mapping[str, Sequence[float]]]


@dataclass(frozen=True)
class Opinion:
    """What one model thinks of one picture: the rank of the class, 1 is the first, and its log-probability."""

    rank: int
    log_probability: float


def opinion(classifier: Classifier, picture: Tensor, index: int) -> Opinion:
    """A picture `(3, h, w)` of any size, shown at the model's own."""
    with classifier.frozen(), torch.no_grad():
        row = classifier(resized(picture[None], classifier))[0].double().log_softmax(dim=0)
    return Opinion(int((row > row[index]).sum()) + 1, round(row[index].item(), 3))


def middle(picture: Tensor, share: float) -> Tensor:
    """The middle of a picture `(3, h, w)`, `share` of its side."""
    height, width = (round(share * side) for side in picture.shape[1:])
    top, left = (picture.shape[1] - height) // 2, (picture.shape[2] - width) // 2
    return picture[:, top : top + height, left : left + width]


def observe(
    models: Sequence[Classifier], entries: Mapping[str, Entry], observed: Path = OBSERVED, root: Path = PICTURES
) -> None:
    """Write down what was not seen yet: passes, then rank and log-probability by each model, showing by showing."""
    record = kept(observed)
    for name, entry in entries.items():
        for seed in entry.seeds:
            seen = record.setdefault(f"{name} / {seed}", {})
            for index in random_classes(0, 100):
                made = load(folder(name, seed, root) / f"{index}.safetensors") if str(index) not in seen else None
                if made is not None:
                    said = [opinion(model, middle(made.picture, share), index)
                            for share in entry.crops for model in models]  # fmt: skip
                    numbers = [number for one in said for number in (one.rank, one.log_probability)]
                    seen[str(index)] = [made.passes, *numbers]
            if not seen:
                del record[f"{name} / {seed}"]
            keep_observed(observed, record)


@dataclass(frozen=True)
class Seen:
    """Everything that the three models said of the pictures of a method, in the showing that suits it best."""

    passes: float
    share: float
    ranks: Tensor  # (pictures, 3): the network itself, then the two judges
    log_probabilities: Tensor  # (pictures, 3)

    def top(self, count: int, model: int) -> Tensor:
        """1 for each picture whose class is among the first `count`, else 0."""
        return (self.ranks[:, model] <= count).float()


def seen(name: str, entry: Entry, record: Record) -> Seen | None:
    """All seeds together; None where no picture was judged."""
    rows = [row for seed in entry.seeds for row in record.get(f"{name} / {seed}", {}).values()]
    if not rows:
        return None
    table = torch.tensor(rows, dtype=torch.float64)
    said = table[:, 1:].unflatten(1, (len(entry.crops), 3, 2))  # showing, model, rank and log p
    best = int(said[:, :, 1:, 1].mean(dim=(0, 2)).argmax())
    return Seen(table[:, 0].mean().item(), entry.crops[best], said[:, best, :, 0], said[:, best, :, 1])


def row(name: str, entry: Entry, found: Seen) -> dict[str, Any]:
    """One line of the table of recognition."""
    cells: dict[str, Any] = {
        "method": f"**{name}**" if entry.tool == OURS else name, "passes": f"{found.passes:.0f}",
        "pictures": len(found.ranks),
        "shown": "whole" if found.share == 1 else f"middle {found.share:.0%}",
        "Lite0 top-1": f"{found.top(1, 0).mean():.0%}",
    }  # fmt: skip
    for model, judge in enumerate(JUDGES, start=1):
        cells[f"{judge} top-1"] = interval(found.top(1, model))
        cells[f"{judge} top-5"] = interval(found.top(5, model))
        cells[f"{judge} log p"] = f"{found.log_probabilities[:, model].mean():.2f}"
    return cells


def evaluate() -> None:
    """Show what is new to the judges; write the tables that can be written."""
    from benchmarks.peers.goals import goals

    models = [phosphene.load(name).folded() for name in ("efficientnet_lite0", *VERIFIERS)]
    observe(models, METHODS)
    record = kept(OBSERVED)
    found = {name: one for name, entry in METHODS.items() if (one := seen(name, entry, record)) is not None}
    rows = [row(name, METHODS[name], one) for name, one in found.items()]
    settings = {"classes": random_classes(0, 100), "judges": VERIFIERS}
    print(markdown(rows))
    print(write_result("peers", COMMAND, settings, rows))
    reached = goals(found)
    print(markdown(reached))
    print(write_result("peers-goals", "python -m benchmarks.peers evaluate", settings, reached))
