"""The paper's recipe on small networks with and without adversarial training, side by side.

    python -m benchmarks.robust [--fashion FOLDER]      trains what is missing, makes the maps, draws the sheet

Pixel gradients of robustly trained networks are known to show what a person would call the class (Tsipras et al., ICLR
2019), so on them a recipe without any prior has to give clean pictures. The twins differ in nothing but the images that
they learn from: those of the robust one are changed by projected gradient ascent within a ball of the maximum norm
(Madry et al., ICLR 2018). Networks and maps are kept in `benchmarks/results/maps/robust`.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.recognition import PLAIN
from benchmarks.record import RESULTS, markdown, write_result
from benchmarks.studies import PICTURES
from benchmarks.zoo.domains import find_fashion
from phosphene.method.recognition import measure_recognition
from phosphene.method.scaling import render_pictures
from phosphene.model.classifier import Classifier
from phosphene.recipe.concepts import Classes, Concept
from phosphene.recipe.geometries import Pixel
from phosphene.recipe.recipe import Recipe
from phosphene.runs.pipeline import run_batch
from phosphene.studies.drawing import Style, Tile, draw_tiles, save_figure
from phosphene.studies.folder import Part, Parts
from phosphene.studies.small_models import (
    DATA,
    Examples,
    Perturb,
    SmallNet,
    make_classifier,
    measure_accuracy,
    normalize,
    train,
)

FOLDER = RESULTS / "maps" / "robust"
LARGE = 3 * 224 * 224  # numbers of an image that the preset's radius is meant for


@dataclass(frozen=True)
class Setting:
    """How the twins of one task are trained; `reach` is the radius of the ball of the maximum norm."""

    data: str
    reach: float
    training: int = 4000
    test: int = 1000
    epochs: int = 8
    width: int = 32
    steps: int = 5


SETTINGS = (Setting("signs", 0.06), Setting("fashion", 0.1))
KINDS = ("plain", "robust")


def ascend(
    reach: float, steps: int, generator: torch.Generator, network: nn.Module, images: Tensor, labels: Tensor
) -> Tensor:
    """The images moved to where the loss is higher, by at most `reach` a pixel and within [0,1]."""
    network.eval()
    moved = (images + reach * (2 * torch.rand(images.shape, generator=generator) - 1)).clamp(0, 1)
    for _ in range(steps):
        moved.requires_grad_()
        with torch.enable_grad():
            loss = F.cross_entropy(network(normalize(moved)), labels)
            (gradient,) = torch.autograd.grad(loss, moved)
        stepped = moved.detach() + 2.5 * reach / steps * gradient.sign()
        moved = torch.minimum(torch.maximum(stepped, images - reach), images + reach).clamp(0, 1)
    return moved.detach()


def train_twin(setting: Setting, kind: str, training: Examples) -> Part:
    """The weights of one network; both twins begin with the same weights and see the images in the same order."""
    adversary: Perturb = partial(ascend, setting.reach, setting.steps, torch.Generator().manual_seed(0))
    changes = {"perturb": adversary} if kind == "robust" else {}
    *_, (_, module) = train(training, 0, epochs=setting.epochs, width=setting.width, **changes)
    return Part(tensors=copy.deepcopy(module).state_dict())


def measure_robust_accuracy(setting: Setting, classifier: Classifier, test: Examples) -> float:
    """The share of test images that are still recognized after twenty steps of ascent."""
    generator = torch.Generator().manual_seed(1)
    moved = ascend(setting.reach, 20, generator, classifier.module, test.images, test.labels)
    return measure_accuracy(classifier, replace(test, images=moved))


def choose_recipe(test: Examples) -> Recipe:
    """The paper's choices alone, with the radius of the same root mean square for images of another size."""
    recipe = PLAIN
    radius = recipe.geometry.radius * (test.images[0].numel() / LARGE) ** 0.5
    return replace(recipe, geometry=Pixel(radius))


def make_pictures(classifier: Classifier, concepts: Sequence[Concept], recipe: Recipe) -> Part:
    maps = run_batch(classifier, concepts, recipe)
    fidelity = [one.scores.fidelity.probability for one in maps]
    return Part({"fidelity": fidelity}, {"maps": torch.stack([one.map for one in maps])})


def run_setting(setting: Setting, folder: Path | None) -> tuple[list[dict[str, Any]], list[list[Tile]]]:
    """The rows of the table and of the sheet that show one task."""
    training, test = DATA[setting.data](setting.training + setting.test, folder).split(setting.training)
    recipe = choose_recipe(test)
    parts = Parts(FOLDER, {"setting": repr(setting)}, print)
    maps_parts = Parts(FOLDER, {"setting": repr(setting), "recipe": recipe.to_json()}, print)
    concepts: list[Concept] = [Classes((index,), name, recipe.score) for index, name in enumerate(test.names)]
    classifiers: dict[str, Classifier] = {}
    maps: dict[str, Part] = {}
    for kind in KINDS:
        weights = parts.get(f"{setting.data}-{kind}", partial(train_twin, setting, kind, training)).tensors
        module = SmallNet(test.images.shape[1], len(test.names), setting.width)
        module.load_state_dict(weights)
        classifiers[kind] = make_classifier(module.eval(), test, f"{setting.data}-{kind}")
        make = partial(make_pictures, classifiers[kind], concepts, recipe)
        maps[kind] = maps_parts.get(f"{setting.data}-{kind}-maps", make)
    rows = [summarize(setting, kind, classifiers, maps[kind], concepts, test, recipe) for kind in KINDS]
    return rows, draw_rows(test, maps, recipe)


def summarize(
    setting: Setting,
    kind: str,
    classifiers: dict[str, Classifier],
    part: Part,
    concepts: Sequence[Concept],
    test: Examples,
    recipe: Recipe,
) -> dict[str, Any]:
    pictures = render_pictures(part.tensors["maps"], recipe)
    attacked = measure_robust_accuracy(setting, classifiers[kind], test)
    other = classifiers[KINDS[1 - KINDS.index(kind)]]
    return {
        "data": setting.data,
        "network": kind,
        "accuracy": f"{measure_accuracy(classifiers[kind], test):.1%}",
        "accuracy under attack": f"{attacked:.1%} (±{setting.reach:g})",
        "passes": recipe.iterations * recipe.samples * recipe.nudge_steps,
        "own fidelity": f"{fmean(part.numbers['fidelity']):.2f}",
        "its twin names the picture": f"{measure_recognition(other, concepts, pictures)[:, 0].mean():.0%}",
        "likeness to the class": f"{measure_likeness(part.tensors['maps'], test):.2f}",
    }


def measure_likeness(maps: Tensor, test: Examples) -> float:
    """Correlation of each map with the mean image of its class, less the mean over classes; mean of the classes."""
    means = torch.stack([test.images[test.labels == index].mean(dim=0) for index in range(len(test.names))])
    first, second = ((rows - rows.mean(dim=0)).flatten(1) for rows in (maps, means))
    return float(F.cosine_similarity(first, second).mean())


def draw_rows(test: Examples, maps: dict[str, Part], recipe: Recipe) -> list[list[Tile]]:
    """An example of each class, and below it the picture of each twin."""
    examples = [Tile(shorten(name), test.select_class(index, 1)[0]) for index, name in enumerate(test.names)]
    rows = [examples]
    for kind in KINDS:
        pictures = render_pictures(maps[kind].tensors["maps"], recipe)
        fidelities = maps[kind].numbers["fidelity"]
        rows.append([Tile(f"{kind} {value:.2f}", one) for value, one in zip(fidelities, pictures, strict=True)])
    return rows


def shorten(name: str) -> str:
    """The shape and the glyph of a sign; other names as they are."""
    words = name.split()
    return f"{words[1]}, {words[-1]}" if "with" in words else name


def draw_sheet(rows: Sequence[Sequence[Tile]], name: str) -> None:
    def draw(figure: Any, style: Style) -> None:
        draw_tiles(figure, rows, style, 8)

    save_figure(FOLDER, name, (11.0, 1.25 * len(rows)), draw)
    (PICTURES / f"{name}.png").write_bytes((FOLDER / f"{name}.png").read_bytes())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fashion", type=Path, help="folder with Fashion-MNIST's four .gz files")
    options = parser.parse_args(arguments)
    rows: list[dict[str, Any]] = []
    tiles: list[list[Tile]] = []
    for setting in SETTINGS:
        folder = (options.fashion or find_fashion()) if setting.data == "fashion" else None
        more_rows, more_tiles = run_setting(setting, folder)
        rows += more_rows
        tiles += more_tiles
    draw_sheet(tiles, "paper-robust")
    write_result("robust", "python -m benchmarks.robust", {"settings": [repr(one) for one in SETTINGS]}, rows)
    print(markdown(rows))


if __name__ == "__main__":
    main()
