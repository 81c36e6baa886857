"""The paper's own recipe on EfficientNet-Lite0: what it takes until the network sees its own map.

    python -m benchmarks.paper_recipe                        all rows, four development classes; goes on
    python -m benchmarks.paper_recipe NAME … --classes 8     some rows on more classes

Every row is pixel by pixel, with the clip composition, no views and no prior but the ball of the norm; the rows differ
in samples, steps, moments, radius, and the noise that samples are drawn from. They were explored by the bare logit;
`PLAIN_ROW` is scored by the paper's cross-entropy, and rows after it change the backward pass. A run is looked at after
several numbers of iterations (`CHECKPOINTS`), so that one run shows what more passes buy. Classes are the
development classes of `benchmarks.experiments`; the preset is reported on others, by `benchmarks.recognition`.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

import phosphene
from benchmarks.experiments import development_classes
from benchmarks.recognition import VERIFIERS
from benchmarks.record import RESULTS, load_observed, markdown, save_observed, write_result
from benchmarks.studies import PICTURES
from phosphene.method.fidelity import measure_fidelity
from phosphene.method.loop import Progress, iterate
from phosphene.method.recognition import measure_recognition
from phosphene.method.refinement import refine
from phosphene.method.scaling import render_pictures
from phosphene.model.classifier import Classifier
from phosphene.recipe.concepts import Concept
from phosphene.recipe.distributions import Gaussian
from phosphene.recipe.geometries import Pixel
from phosphene.recipe.grammar import parse
from phosphene.recipe.recipe import Recipe
from phosphene.recipe.views import STILL
from phosphene.studies.drawing import Style, Tile, draw_tiles, save_figure

OBSERVED = RESULTS / "paper-recipe-observed.json"
MAPS = RESULTS / "maps" / "paper-recipe"
CHECKPOINTS = (25, 50, 100, 150, 200, 300, 400, 600)
TOGETHER = 4  # classes in one estimate

BASE = Recipe(
    distribution=Gaussian(),
    views=STILL,
    composition="clip",
    score="logit",
    geometry=Pixel(25.0),
    iterations=100,
    step=0.05,
    samples=4,
    betas=(0.9, 0.999),
    average_last=0.0,
)


def vary(radius: float = 50.0, sigma: float = 0.25, **changes: Any) -> Recipe:
    """The base with a radius, a noise and other changes."""
    return replace(BASE, geometry=Pixel(radius), distribution=Gaussian(sigma), **changes)


def change(radius: float = 50.0, **changes: Any) -> Recipe:
    """With the default's backward pass and score."""
    return vary(radius, **{"shared_scale": True, "score": "half_margin", "leak": 0.1, "residual": 0.5, **changes})


ROWS: dict[str, Recipe] = {
    "4 samples, step .05, radius 25": BASE,
    "radius 50": vary(),
    "radius 100": vary(100.0),
    "radius 50, step .1": vary(step=0.1),
    "radius 100, step .02": vary(100.0, step=0.02),
    "radius 50, betas .97, .999": vary(betas=(0.97, 0.999)),
    "radius 50, noise .15": vary(sigma=0.15),
    "shared scale, radius 100, step .02": vary(100.0, step=0.02, shared_scale=True),
    "shared scale, radius 50": vary(shared_scale=True),
    "shared scale, radius 50, step .1": vary(shared_scale=True, step=0.1),
    "shared scale, radius 50, step .02": vary(shared_scale=True, step=0.02),
    "shared scale, radius 50, 1 sample": vary(shared_scale=True, samples=1),
    "shared scale, radius 50, 2 samples": vary(shared_scale=True, samples=2),
    "shared scale, radius 50, 8 samples": vary(shared_scale=True, samples=8),
    "shared scale, radius 35": vary(35.0, shared_scale=True),
    "shared scale, radius 75": vary(75.0, shared_scale=True),
    "shared scale, radius 50, betas .97, .999": vary(shared_scale=True, betas=(0.97, 0.999)),
    "shared scale, radius 50, 2 samples of 2 nudges": vary(shared_scale=True, samples=2, nudge_steps=2),
    "shared scale, radius 50, 2 samples, refined every 40": vary(shared_scale=True, samples=2, refine_every=40),
    "shared scale, radius 75, cross-entropy": vary(75.0, shared_scale=True, score="log_probability"),
    "changed backward pass, radius 75, cross-entropy": change(75.0, score="log_probability"),
    "changed backward pass, radius 75": change(75.0),
    "changed backward pass": change(),
    "changed backward pass, branches by .3": change(residual=0.3),
    "changed backward pass, 8 samples, step .1": change(samples=8, step=0.1),
}

PLAIN_ROW = "shared scale, radius 75, cross-entropy"
SHEET = {PLAIN_ROW: 100, "changed backward pass, radius 75, cross-entropy": 100, "changed backward pass": 100}


def observe(name: str, models: Sequence[Classifier], classes: Sequence[int], iterations: int) -> None:
    """Make the maps of a row that are missing, and write down what each model makes of them at each checkpoint."""
    recipe = replace(ROWS[name], iterations=iterations)
    done = load_observed(OBSERVED).get(f"{name} / {recipe.iterations}", {})
    missing = [
        index
        for index in classes
        if str(index) not in done or (name in SHEET and not locate_map(name, index, iterations).is_file())
    ]
    for start in range(0, len(missing), TOGETHER):
        concepts = [
            parse(str(index), models[0].labels, scored=recipe.score) for index in missing[start : start + TOGETHER]
        ]
        refine_in_run = partial(mask_coefficients, models[0], concepts, recipe)
        for progress in iterate(models[0], concepts, recipe, refine=refine_in_run):
            if progress.iteration + 1 in {*CHECKPOINTS, recipe.iterations}:
                record_checkpoint(name, models, concepts, progress)


def locate_map(name: str, index: int, iterations: int) -> Path:
    """Where the map of a class after so many iterations is kept."""
    return MAPS / name.replace(",", "").replace(" ", "-") / f"{index}-{iterations}.safetensors"


def mask_coefficients(classifier: Classifier, concepts: Sequence[Concept], recipe: Recipe, maps: Tensor) -> Tensor:
    """Refinement in the run; coefficients of the pixel geometry are the map itself."""
    return maps * torch.stack([one.mask for one in refine(classifier, concepts, maps, recipe)])[:, None]


def record_checkpoint(name: str, models: Sequence[Classifier], concepts: Sequence[Concept], progress: Progress) -> None:
    """Own fidelity, then top-1 and log-probability of the bare picture by each model, one line a class."""
    recipe, maps = ROWS[name], progress.maps()
    pictures = render_pictures(maps, recipe)
    seen = torch.cat([measure_recognition(model, concepts, pictures) for model in models], dim=1)
    record = load_observed(OBSERVED)
    line = record.setdefault(f"{name} / {progress.iteration + 1}", {})
    for concept, one, row in zip(concepts, maps, seen.tolist(), strict=True):
        fidelity = measure_fidelity(models[0], concept, one, recipe)
        line[str(concept.targets[0])] = [round(x, 3) for x in (fidelity.probability, fidelity.top1, *row)]
        path = locate_map(name, concept.targets[0], progress.iteration + 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({"map": one.contiguous()}, path)
    save_observed(OBSERVED, record)
    print(f"{name} / {progress.iteration + 1}: {line}", flush=True)


def summarize(key: str, lines: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """One line: passes a class, and means over classes."""
    name, iterations = key.rsplit(" / ", 1)
    recipe, columns = ROWS[name], list(zip(*lines.values(), strict=True))
    return {
        "recipe": name,
        "iterations": iterations,
        "passes": int(iterations) * recipe.samples * recipe.nudge_steps,
        "classes": len(lines),
        "own fidelity": f"{fmean(columns[0]):.2f}",
        "least": f"{min(columns[0]):.2f}",
        "picture, Lite0": f"{fmean(columns[2]):.0%}, {fmean(columns[3]):.2f}",
        "Lite1": f"{fmean(columns[4]):.0%}, {fmean(columns[5]):.2f}",
        "Lite2": f"{fmean(columns[6]):.0%}, {fmean(columns[7]):.2f}",
    }


def draw_sheet(classes: Sequence[int], labels: Sequence[str]) -> None:
    """Maps of the classes by `SHEET`, a row each, from the files that `observe` has kept."""
    rows = []
    for name, iterations in SHEET.items():
        files = [locate_map(name, index, iterations) for index in classes]
        if not all(file.is_file() for file in files):
            print(f"no sheet: {name} was not made of all classes")
            return
        maps = torch.stack([load_file(file)["map"] for file in files])
        pictures = render_pictures(maps, ROWS[name])
        names = [labels[index].split(",")[0] for index in classes]
        rows.append([Tile(one, picture) for one, picture in zip(names, pictures, strict=True)])

    def draw(figure: Any, style: Style) -> None:
        draw_tiles(figure, rows, style, 9)

    save_figure(MAPS, "paper-maps", (1.9 * len(classes), 2.1 * len(rows)), draw)
    Image.open(MAPS / "paper-maps.png").convert("RGB").save(PICTURES / "paper-maps.jpg", quality=88, optimize=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="; ".join(ROWS))
    parser.add_argument("--classes", type=int, default=4)
    parser.add_argument("--iterations", type=int, default=100)
    options = parser.parse_args(arguments)
    models = [phosphene.load(name).fold() for name in ("efficientnet_lite0", *VERIFIERS)]
    classes = development_classes(32)[: options.classes]
    for name in options.names or ROWS:
        observe(name, models, classes, options.iterations)
    record = load_observed(OBSERVED)
    rows = [summarize(key, lines) for key, lines in record.items() if key.rsplit(" / ", 1)[0] in ROWS]
    draw_sheet(development_classes(32)[:TOGETHER], models[0].labels)
    write_result("paper-recipe", "python -m benchmarks.paper_recipe", {"classes": classes}, rows)
    print(markdown(rows))


if __name__ == "__main__":
    main()
