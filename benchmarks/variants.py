"""What the default recipe was chosen from: departures from it, on classes that no other table uses.

    python -m benchmarks.variants                    all of them, 32 random classes of seed 1 (about 15 minutes)
    python -m benchmarks.variants 'full size throughout' 'step 0.3'

Bare pictures only, without refinement and evidence: recognition by Lite1 and Lite2 decides.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

import phosphene
from benchmarks.estimates import estimate_maps
from benchmarks.recognition import VERIFIERS, format_interval, random_classes
from benchmarks.record import markdown, write_result
from phosphene.method.recognition import measure_recognition
from phosphene.method.scaling import render_pictures
from phosphene.model.classifier import Classifier
from phosphene.recipe.concepts import Concept
from phosphene.recipe.distributions import Grey
from phosphene.recipe.geometries import Spectral
from phosphene.recipe.grammar import parse
from phosphene.recipe.recipe import PRESETS, Recipe
from phosphene.recipe.views import Views

TOGETHER = 4  # classes in one estimate: as many as a pass has rows
DEFAULT = replace(PRESETS["default"], coarse=0.0, restarts=1)  # one stage, one start: nothing mends a departure
SHORT = replace(DEFAULT, iterations=56, step=0.3)
VARIANTS: dict[str, Recipe] = {
    "full size throughout": DEFAULT,
    "56 iterations, step 0.3": SHORT,
    "56 iterations, step 0.3, gentler views": replace(SHORT, views=Views(shift=0.1, zoom=(0.8, 1.2), rotation=12.0)),
    "noise 0.04": replace(DEFAULT, distribution=Grey(0.04)),
    "step 0.15": replace(DEFAULT, step=0.15),
    "step 0.3": replace(DEFAULT, step=0.3),
    "step 0.3, cosine": replace(DEFAULT, step=0.3, schedule="cosine"),
    "radius 150": replace(DEFAULT, geometry=Spectral(radius=150.0)),
    "falloff 1.2": replace(DEFAULT, geometry=Spectral(falloff=1.2)),
    "colour 0.28, 0.13 (natural images)": replace(DEFAULT, geometry=Spectral(colour=(0.28, 0.13))),
    "colour 0.4, 0.2": replace(DEFAULT, geometry=Spectral(colour=(0.4, 0.2))),
    "colour 0.7, 0.4": replace(DEFAULT, geometry=Spectral(colour=(0.7, 0.4))),
    "zoom 0.6 to 1.2": replace(DEFAULT, views=Views(zoom=(0.6, 1.2))),
    "shift 0.18": replace(DEFAULT, views=Views(shift=0.18)),
    "rotation 25": replace(DEFAULT, views=Views(rotation=25.0)),
    "mean of the last 0.7": replace(DEFAULT, average_last=0.7),
    "moments 0.95, 0.99": replace(DEFAULT, betas=(0.95, 0.99)),
}


def make_bare_pictures(classifier: Classifier, concepts: Sequence[Concept], recipe: Recipe) -> torch.Tensor:
    """The unrefined pictures `(N, C, H, W)` of some concepts after the last iteration."""
    return render_pictures(estimate_maps(classifier, concepts, recipe), recipe)


def summarize(name: str, recipe: Recipe, concepts: Sequence[Concept], models: Sequence[Classifier]) -> dict[str, Any]:
    """One line of the table: top-1 and mean log-probability of the concept by each model, the first being ours."""
    seen: list[list[torch.Tensor]] = [[] for _ in models]
    for start in range(0, len(concepts), TOGETHER):
        chunk = concepts[start : start + TOGETHER]
        pictures = make_bare_pictures(models[0], chunk, recipe)
        for model, rows in zip(models, seen, strict=True):
            rows.append(measure_recognition(model, chunk, pictures))
    cells: dict[str, Any] = {"variant": name, "iterations": recipe.iterations}
    for model, rows in zip(models, map(torch.cat, seen), strict=True):
        title = model.name.replace("efficientnet_lite", "Lite")
        cells[f"{title} top-1"], cells[f"{title} log p"] = format_interval(rows[:, 0]), f"{rows[:, 1].mean():.2f}"
    return cells


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=", ".join(VARIANTS))
    parser.add_argument("--classes", type=int, default=32)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    models = [phosphene.load(name).fold() for name in ("efficientnet_lite0", *VERIFIERS)]
    classes = [str(index) for index in random_classes(options.seed, options.classes)]
    concepts = [parse(index, models[0].labels) for index in classes]
    rows = []
    for name in options.names or VARIANTS:
        rows.append(summarize(name, VARIANTS[name], concepts, models))
        print(markdown(rows[-1:]).splitlines()[-1], flush=True)
    command = f"python -m benchmarks.variants --classes {options.classes} --seed {options.seed}"
    print(write_result("variants", " ".join([command, *map(repr, options.names)]), {"classes": classes}, rows))


if __name__ == "__main__":
    main()
