"""What the iterations of `best` are worth for classes that are hard to tell apart, and what was tried instead.

    python -m benchmarks.longer --judge PATH --judge PATH                        all rows; goes on where it stopped
    python -m benchmarks.longer best 'total variation .1' --set development --judge PATH ...

Sixteen classes whose rows of Lite0's last layer are much like another class's, none of the 100 of the comparison. The
forty that are most alike are left out, for many are two names of one thing. Or 24 of the development classes. Bare
pictures, with the attempts that the preset grants. Pictures are kept in `benchmarks/results/maps/longer`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import phosphene
from benchmarks.estimates import draw_concepts
from benchmarks.experiments import TOGETHER, development_classes
from benchmarks.judges import add_judge_option, open_judges, title_of
from benchmarks.recognition import format_interval, random_classes
from benchmarks.record import RESULTS, markdown, write_result
from phosphene.method.recognition import measure_recognition
from phosphene.model.classifier import Classifier
from phosphene.recipe.distributions import Flat, Grey, Mixture, Pink
from phosphene.recipe.geometries import Spectral
from phosphene.recipe.grammar import parse
from phosphene.recipe.recipe import PRESETS, Recipe

MAPS = RESULTS / "maps" / "longer"
ALIKE, CONFUSABLE, DEVELOPMENT = 40, 16, 24
BEST = PRESETS["best"]
ROWS: dict[str, Recipe] = {
    "default": PRESETS["default"],
    "best": BEST,
    "250 iterations": replace(BEST, iterations=250),
    "total variation .35": replace(BEST, total_variation=0.35),
    "total variation .1": replace(BEST, total_variation=0.1),
    "half the gain": replace(BEST, geometry=Spectral(gain=0.25, falloff=0.7, colour=(0.2, 0.1))),
    "three distributions": replace(BEST, distribution=Mixture((Grey(), Pink(0.1), Flat()))),
}


def list_confusable(classifier: Classifier) -> list[int]:
    """Classes by the cosine between their row of the last layer and the nearest other row, the largest left out."""
    last = [layer for layer in classifier.module.modules() if isinstance(layer, nn.Linear)][-1]
    rows = nn.functional.normalize(last.weight.detach(), dim=1)
    nearest = (rows @ rows.T).fill_diagonal_(-1.0).max(dim=1).values
    compared = set(random_classes(0, 100))
    return [index for index in nearest.argsort(descending=True).tolist() if index not in compared][ALIKE:][:CONFUSABLE]


SETS: dict[str, Callable[[Classifier], list[int]]] = {
    "confusable": list_confusable,
    "development": lambda classifier: development_classes(32)[:DEVELOPMENT],
}


def make_missing(name: str, classifier: Classifier, classes: Sequence[int]) -> Tensor:
    """The pictures `(N, C, H, W)` of a row; those that are not on disk are made, four at a time."""
    for start in range(0, len(classes), TOGETHER):
        some = classes[start : start + TOGETHER]
        if all(path_of(name, index).is_file() for index in some):
            continue
        path_of(name, some[0]).parent.mkdir(parents=True, exist_ok=True)
        for index, picture in zip(some, draw_concepts(classifier, list(map(str, some)), ROWS[name]), strict=True):
            save_file({"picture": picture.contiguous()}, path_of(name, index))
    return torch.stack([load_file(path_of(name, index))["picture"] for index in classes])


def path_of(name: str, index: int) -> Path:
    return MAPS / name.replace(" ", "-") / f"{index}.safetensors"


def summarize(name: str, pictures: Tensor, classes: Sequence[int], judges: Sequence[Classifier]) -> dict[str, Any]:
    """One line: of every judge the share named and the mean log-probability."""
    cells: dict[str, Any] = {"row": name, "iterations": ROWS[name].iterations}
    for judge in judges:
        concepts = [parse(str(index), judge.labels) for index in classes]
        seen = measure_recognition(judge, concepts, pictures)
        cells[title_of(judge)] = f"{format_interval(seen[:, 0])}, {seen[:, 1].mean():.2f}"
    return cells


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="; ".join(ROWS))
    parser.add_argument("--set", choices=SETS, default="confusable")
    add_judge_option(parser)
    options = parser.parse_args(arguments)
    classifier, judges = phosphene.load("efficientnet_lite0").fold(), open_judges(options.judge)
    classes = SETS[options.set](classifier)
    rows = []
    for name in options.names or ROWS:
        rows.append(summarize(name, make_missing(name, classifier, classes), classes, judges))
        print(markdown(rows[-1:]).splitlines()[-1], flush=True)
    name, words = f"longer-{options.set}", " ".join([*map(repr, options.names), "--set", options.set])
    print(write_result(name, f"python -m benchmarks.longer {words} --judge PATH ...", {"classes": classes}, rows))


if __name__ == "__main__":
    main()
