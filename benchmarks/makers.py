"""Networks of other families as the ones that are asked: whose pictures does who recognise?

    python -m benchmarks.makers --network PATH --network PATH      goes on where it stopped

Maps of the first classes of the comparison (`benchmarks.peers`) by every network and recipe; bare pictures, shown to
EfficientNet-Lite0, Lite1, Lite2 and the other networks given. Networks are files beside a `cards.json`, or names of
models (`benchmarks.judges`). Maps and own fidelity are kept in `benchmarks/results/maps/makers`. Rows of maps that are
not made here stay as they were.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

import phosphene
from benchmarks.experiments import TOGETHER
from benchmarks.judges import BATCH, FAMILY, open_network, title_of
from benchmarks.peers.evaluation import Opinion, collect_opinions
from benchmarks.recipes import SHARED
from benchmarks.recognition import format_interval, random_classes
from benchmarks.record import RESULTS, keep_rows, markdown, write_result
from phosphene.model.classifier import Classifier
from phosphene.recipe.recipe import PRESETS, Recipe

MAPS = RESULTS / "maps" / "makers"
CLASSES = 32
RECIPES: dict[str, Recipe] = {
    "default": PRESETS["default"],
    "before the backward pass was changed": replace(
        PRESETS["default"], leak=0.0, residual=1.0, geometry=SHARED, total_variation=0.35
    ),
}


def folder_of(network: str, recipe: str) -> Path:
    return MAPS / f"{network}-{recipe.replace(' ', '-')}"


def make_missing(classifier: Classifier, name: str, classes: Sequence[int]) -> None:
    """Make the pictures of a recipe that are not on disk."""
    folder = folder_of(classifier.name, name)
    folder.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(classes), TOGETHER):
        some = classes[start : start + TOGETHER]
        if all((folder / f"{index}.safetensors").is_file() for index in some):
            continue
        for index, one in zip(
            some, phosphene.make_maps(classifier, [f"index:{index}" for index in some], RECIPES[name]), strict=True
        ):
            said = {"fidelity": str(one.scores.fidelity.probability), "passes": str(one.passes)}
            save_file({"picture": one.raw_picture.contiguous()}, folder / f"{index}.safetensors", said)
        print(f"{classifier.name}, {name}: {start + len(some)} of {len(classes)}", flush=True)


def summarize(maker: Classifier, name: str, judges: Sequence[Classifier], classes: Sequence[int]) -> dict[str, Any]:
    """One line: own fidelity, and what each judge says of the bare pictures."""
    pictures, fidelities, passes = [], [], []
    for index in classes:
        with safe_open(folder_of(maker.name, name) / f"{index}.safetensors", framework="pt") as file:
            pictures.append(file.get_tensor("picture"))
            fidelities.append(float(file.metadata()["fidelity"]))
            passes.append(float(file.metadata()["passes"]))
    row: dict[str, Any] = {
        "asked": title_of(maker),
        "recipe": name,
        "pictures": len(pictures),
        "passes": f"{sum(passes) / len(passes):.0f}",
        "own fidelity": f"{sum(fidelities) / len(fidelities):.3f}",
    }
    for judge in judges:
        opinions: list[Opinion] = []
        for start in range(0, len(pictures) if judge.name != maker.name else 0, BATCH):
            shown = torch.stack(pictures[start : start + BATCH])
            opinions += collect_opinions(judge, shown, classes[start : start + BATCH])
        named = torch.tensor([float(one.rank == 1) for one in opinions])
        row[title_of(judge)] = (
            f"{format_interval(named)}, {sum(one.log_probability for one in opinions) / len(opinions):.2f}"
            if opinions
            else "–"
        )
    return row


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", action="append", required=True, help="weights beside a cards.json, or a name")
    parser.add_argument("--classes", type=int, default=CLASSES)
    parser.add_argument("--recipe", action="append", choices=RECIPES, help="; ".join(RECIPES))
    parser.add_argument("--asked", action="append", help="names of the networks that maps are made of, without it all")
    options = parser.parse_args(arguments)
    classes = random_classes(0, 100)[: options.classes]
    networks = [open_network(name).fold() for name in options.network]
    judges = [*(phosphene.load(name).fold() for name in ("efficientnet_lite0", *FAMILY)), *networks]
    for name in options.recipe or RECIPES:
        for network in (one for one in networks if one.name in (options.asked or [one.name])):
            make_missing(network, name, classes)
    done = [
        (network, name)
        for network in networks
        for name in RECIPES
        if all((folder_of(network.name, name) / f"{index}.safetensors").is_file() for index in classes)
    ]
    made = [summarize(network, name, judges, classes) for network, name in done]
    rows = keep_rows("makers", made, ("asked", "recipe"))
    print(markdown(rows))
    print(write_result("makers", "python -m benchmarks.makers --network PATH ...", {"classes": classes}, rows))


if __name__ == "__main__":
    main()
