"""What judges of other families call the pictures: bare, of every method whose pictures are on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.judges import BATCH, open_judges, title_of
from benchmarks.peers.evaluation import collect_opinions
from benchmarks.peers.methods import METHODS
from benchmarks.peers.pictures import PICTURES, Picture, folder_of, load
from benchmarks.recognition import format_interval, random_classes
from benchmarks.record import markdown, write_result
from phosphene.model.classifier import Classifier


def judge_all(judges: Sequence[str], root: Path = PICTURES) -> None:
    """The table: passes, and of every judge the share that it names and the mean log-probability of the class."""
    networks = open_judges(judges)
    rows = [judge_method(name, made, networks) for name in METHODS if (made := load_pictures(name, root))]
    print(markdown(rows))
    command = "python -m benchmarks.peers judges --judge PATH ..."
    print(write_result("peers-judges", command, {"judges": [title_of(one) for one in networks]}, rows))


def load_pictures(name: str, root: Path) -> list[tuple[int, Picture]]:
    """By class, seed after seed."""
    files = [(index, folder_of(name, seed, root)) for seed in METHODS[name].seeds for index in random_classes(0, 100)]
    return [(index, one) for index, folder in files if (one := load(folder / f"{index}.safetensors")) is not None]


def judge_method(name: str, made: Sequence[tuple[int, Picture]], networks: Sequence[Classifier]) -> dict[str, Any]:
    classes = [index for index, _ in made]
    row: dict[str, Any] = {
        "method": name,
        "pictures": len(made),
        "passes": f"{sum(one.passes for _, one in made) / len(made):.0f}",
    }
    for network in networks:
        opinions = [
            opinion
            for start in range(0, len(made), BATCH)
            for opinion in collect_opinions(
                network,
                torch.stack([one.picture for _, one in made[start : start + BATCH]]),
                classes[start : start + BATCH],
            )
        ]
        row[f"{title_of(network)} top-1"] = format_interval(torch.tensor([float(one.rank == 1) for one in opinions]))
        row[f"{title_of(network)} log p"] = f"{sum(one.log_probability for one in opinions) / len(opinions):.2f}"
    return row
