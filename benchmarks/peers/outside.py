"""What judges of other families call the pictures: bare, of every method whose pictures are on disk.

Where only some of a method's seeds are there, the line says which; lines of pictures that are no longer there are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.judges import BATCH, open_judges, title_of
from benchmarks.peers.evaluation import Opinion, collect_opinions, crop_middle
from benchmarks.peers.methods import METHODS
from benchmarks.peers.pictures import PICTURES, Picture, folder_of, load
from benchmarks.recognition import format_interval, random_classes
from benchmarks.record import keep_rows, markdown, write_result
from phosphene.model.classifier import Classifier


def judge_all(judges: Sequence[str], root: Path = PICTURES) -> None:
    """The table: passes, and of every judge the share that it names and the mean log-probability of the class."""
    networks = open_judges(judges)
    opinions = {
        name: collect(METHODS[name].crops, made, networks) for name in METHODS if (made := load_pictures(name, root))
    }
    made = [
        {**summarize(name, *opinions[name], opinions.get("default"), networks), "method": describe(name, root)}
        for name in opinions
    ]
    rows = keep_rows("peers-judges", made, ("method",))
    print(markdown(rows))
    command = "python -m benchmarks.peers judges --judge PATH ..."
    print(write_result("peers-judges", command, {"judges": [title_of(one) for one in networks]}, rows))


def describe(name: str, root: Path) -> str:
    """The method, and its seeds where some are not on disk."""
    seeds = METHODS[name].seeds
    there = [seed for seed in seeds if folder_of(name, seed, root).is_dir()]
    return name if len(there) == len(seeds) else f"{name}, seed {', '.join(map(str, there))}"


def load_pictures(name: str, root: Path) -> list[tuple[int, Picture]]:
    """By class, seed after seed."""
    files = [(index, folder_of(name, seed, root)) for seed in METHODS[name].seeds for index in random_classes(0, 100)]
    return [(index, one) for index, folder in files if (one := load(folder / f"{index}.safetensors")) is not None]


def collect(
    crops: Sequence[float], made: Sequence[tuple[int, Picture]], networks: Sequence[Classifier]
) -> tuple[list[tuple[int, Picture]], float, list[list[Opinion]]]:
    """The pictures, the crop in which all judges together are surest, and each judge's opinions of that."""
    by_crop = {share: [_look(network, made, share) for network in networks] for share in crops}
    best = max(crops, key=lambda share: sum(one.log_probability for row in by_crop[share] for one in row))
    return list(made), best, by_crop[best]


def _look(network: Classifier, made: Sequence[tuple[int, Picture]], share: float) -> list[Opinion]:
    opinions = []
    for start in range(0, len(made), BATCH):
        classes, some = zip(*made[start : start + BATCH], strict=True)
        pictures = torch.stack([crop_middle(one.picture, share) for one in some])
        opinions += collect_opinions(network, pictures, list(classes))
    return opinions


def summarize(
    name: str,
    made: Sequence[tuple[int, Picture]],
    share: float,
    opinions: Sequence[Sequence[Opinion]],
    base: tuple[Sequence[tuple[int, Picture]], float, Sequence[Sequence[Opinion]]] | None,
    networks: Sequence[Classifier],
) -> dict[str, Any]:
    """One line; "default here" is how many of the same classes `default` has named, its first seed."""
    row: dict[str, Any] = {
        "method": name,
        "pictures": len(made),
        "passes": f"{sum(one.passes for _, one in made) / len(made):.0f}",
        "shown": "whole" if share == 1 else f"middle {share:.0%}",
    }
    for place, network in enumerate(networks):
        named = torch.tensor([float(one.rank == 1) for one in opinions[place]])
        cell = format_interval(named)
        if base is not None and name != "default":
            first = dict(reversed([(index, one) for (index, _), one in zip(base[0], base[2][place], strict=True)]))
            ours = [float(first[index].rank == 1) for index, _ in made if index in first]
            cell += f", default here {sum(ours) / max(1, len(ours)):.0%}"
        row[f"{title_of(network)} top-1"] = cell
        row[f"{title_of(network)} log p"] = (
            f"{sum(one.log_probability for one in opinions[place]) / len(opinions[place]):.2f}"
        )
    return row
