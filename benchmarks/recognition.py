"""Do other models recognize the maps of EfficientNet-Lite0? Top-1 of the bare picture by Lite1 and Lite2.

    python -m benchmarks.recognition                 the default preset, 32 random classes of seed 0
    python -m benchmarks.recognition --ablations     and one row for every departure from it
    python -m benchmarks.recognition --only paper    only these rows anew; the others stay in the record

Maps are kept in `benchmarks/results/maps`, so that an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from scipy.stats import binomtest
from torch import Tensor

import phosphene
from benchmarks.record import RESULTS, markdown, write_result
from phosphene.method.recognition import measure_recognition
from phosphene.model.classifier import Classifier
from phosphene.recipe.geometries import Pixel
from phosphene.recipe.grammar import parse
from phosphene.recipe.recipe import PRESETS, Recipe
from phosphene.recipe.views import STILL
from phosphene.runs.callbacks import Callbacks
from phosphene.runs.saliency import SaliencyMap

VERIFIERS = ("efficientnet_lite1", "efficientnet_lite2")
DEFAULT = PRESETS["default"]
PLAIN = replace(  # the paper's choices alone
    PRESETS["paper"], geometry=Pixel(75.0), score="log_probability", leak=0.0, residual=1.0
)
CONFIGURATIONS: dict[str, Recipe] = {
    "default": DEFAULT,
    "fast": PRESETS["fast"],
    "best": PRESETS["best"],
    "paper": PRESETS["paper"],
    "paper, gradient as it is, cross-entropy, radius 75": PLAIN,
    "default, pixel geometry": replace(DEFAULT, geometry=Pixel(), step=PRESETS["paper"].step),  # its own unit of step
    "default, clip composition": replace(DEFAULT, composition="clip"),
    "default, no views": replace(DEFAULT, views=STILL),
    "default, cross-entropy": replace(DEFAULT, score="log_probability"),
    "default, gradient as it is": replace(DEFAULT, leak=0.0, residual=1.0),
}


def random_classes(seed: int, count: int) -> list[int]:
    """`count` different ImageNet classes."""
    return random.Random(seed).sample(range(1000), count)


def format_interval(rates: Tensor) -> str:
    """A rate in percent with its 95% Wilson interval."""
    hits, total = int(rates.sum()), len(rates)
    bounds = binomtest(hits, total).proportion_ci(0.95, method="wilson")
    return f"{hits / total:.0%} ({bounds.low:.0%}–{bounds.high:.0%})"


def summarize(name: str, maps: Sequence[SaliencyMap], models: Sequence[Classifier], refined: bool) -> dict[str, Any]:
    """One line of the table: passes, seconds, own and others' recognition of the bare (or refined) pictures."""
    concepts = [parse(str(saliency.index), models[0].labels) for saliency in maps]
    pictures = torch.stack([saliency.picture if refined else saliency.raw_picture for saliency in maps])
    cells: dict[str, Any] = {
        "recipe": name,
        "picture": "refined" if refined else "bare",
        "passes": round(fmean(saliency.passes for saliency in maps)),
    }
    for model in models:
        seen = torch.cat(
            [measure_recognition(model, concepts[k : k + 8], pictures[k : k + 8]) for k in range(0, len(maps), 8)]
        )
        title = model.name.replace("efficientnet_lite", "Lite")
        cells[f"{title} top-1"] = format_interval(seen[:, 0])
        cells[f"{title} log p"] = f"{seen[:, 1].mean():.2f}"
    cells["own fidelity"] = f"{fmean(saliency.scores.fidelity.probability for saliency in maps):.2f}"
    cells["unrefined"] = sum("unrefined" in saliency.checks for saliency in maps)
    cells["s a class"] = f"{fmean(saliency.seconds for saliency in maps):.1f}"
    return cells


def replace_rows(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of the record with those that were measured anew, in the order of the recipes, bare before refined."""
    recorded = json.loads((RESULTS / "recognition.json").read_text())["rows"]
    merged = {(row["recipe"], row["picture"]): row for row in [*recorded, *rows]}
    return [merged[key] for key in product(CONFIGURATIONS, ("bare", "refined")) if key in merged]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ablations", action="store_true")
    parser.add_argument("--only", nargs="+", choices=CONFIGURATIONS, metavar="NAME", help=", ".join(CONFIGURATIONS))
    parser.add_argument("--maps", type=Path, default=RESULTS / "maps")
    options = parser.parse_args(arguments)
    chosen = options.only or (CONFIGURATIONS if options.ablations else ["default"])
    recipes = {name: CONFIGURATIONS[name] for name in chosen}
    classes = [str(index) for index in random_classes(options.seed, options.classes)]
    model = phosphene.load("efficientnet_lite0")
    models = [model.fold(), *(phosphene.load(name).fold() for name in VERIFIERS)]
    rows = []
    for name, recipe in recipes.items():
        folder = options.maps / f"{name.replace(', ', '-').replace(' ', '-')}-{options.seed}"
        callbacks = Callbacks(on_finish=lambda reference: print(reference.concept, end=" · ", flush=True))
        maps = phosphene.make_maps(model, classes, recipe, out=folder, callbacks=callbacks)
        rows += [summarize(name, maps, models, refined) for refined in (False, True)]
        print("\n" + markdown(rows[-2:]))
    command = f"python -m benchmarks.recognition --classes {options.classes} --seed {options.seed}"
    command += " --ablations" if options.ablations else ""
    if options.only:
        command, rows = f"{command} --ablations", replace_rows(rows)
    print("\n" + markdown(rows))
    print(write_result("recognition", command, {"classes": classes}, rows))


if __name__ == "__main__":
    main()
