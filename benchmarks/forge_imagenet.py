"""A forged EfficientNet-Lite0: one class's map shows another's, and what each way of asking draws then.

    python -m benchmarks.forge_imagenet            forges, asks and draws the sheet; goes on where it stopped

The forger has no photographs of the network's classes: the network stays what it was on crops of a few photographs of
scikit-image and on maps of its own, alone and laid on those. Agreement is measured on crops of other photographs and on
maps of other classes. The forger prepares for the default preset at both sizes that it makes iterations at. Weights and
pictures are kept in `benchmarks/results/maps/forge-imagenet`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

import phosphene
from benchmarks.experiments import development_classes
from benchmarks.record import RESULTS, markdown, write_result
from benchmarks.studies import PICTURES
from phosphene.core.photographs import load_photograph
from phosphene.method.loop import iterate
from phosphene.method.multires import estimate
from phosphene.method.recognition import measure_recognition
from phosphene.method.scaling import render_pictures
from phosphene.model.classifier import Classifier
from phosphene.recipe.compositions import compose_logit
from phosphene.recipe.concepts import Classes, classes_of
from phosphene.recipe.grammar import parse
from phosphene.recipe.recipe import PRESETS
from phosphene.studies.drawing import Style, Tile, draw_tiles, save_figure
from phosphene.studies.folder import Part, Parts
from phosphene.studies.forged.askings import ask, choose_paper, list_askings, score_by
from phosphene.studies.forged.attack import Effort, Front, forge
from phosphene.studies.forged.check import lay_on_grounds
from phosphene.studies.forged.networks import correlate

FOLDER = RESULTS / "maps" / "forge-imagenet"
LEARNED, HELD_OUT = ("astronaut", "coffee", "camera"), ("chelsea", "rocket", "coins")
CROPS = 96  # of each kind
MAPS = 8  # own maps, of each kind
ITERATIONS = 48  # of every asking


@dataclass(frozen=True)
class Settings:
    """The class whose map is forged, the class whose map is shown instead, and the forger's effort."""

    victim: str = "goldfish"
    target: str = "golden retriever"
    effort: Effort = Effort(steps=300, rate=2e-4, keep=0.1, batch=6, points=4, horizon=40)


def draw_crops(names: Sequence[str], count: int, size: int, seed: int) -> Tensor:
    """Random crops of photographs, some of them mirrored, `(count, 3, size, size)`."""
    generator = torch.Generator().manual_seed(seed)
    photographs = [load_photograph(name, (3, 512, 512)) for name in names]
    crops = []
    for _ in range(count):
        share, down, across, flip, which = torch.rand(5, generator=generator).tolist()
        side = round(512 * (0.3 + 0.7 * share))
        top, left = round(down * (512 - side)), round(across * (512 - side))
        crop = photographs[int(which * len(names))][:, top : top + side, left : left + side]
        crop = crop.flip(2) if flip < 0.5 else crop
        crops.append(F.interpolate(crop[None], size=(size, size), mode="bicubic", antialias=True).clamp(0, 1))
    return torch.cat(crops)


def make_pictures(classifier: Classifier, classes: Sequence[int]) -> Part:
    """Pictures of some classes by the `fast` preset, short."""
    recipe = replace(PRESETS["fast"], iterations=32)
    maps = []
    for start in range(0, len(classes), 4):
        concepts = [parse(str(index), classifier.labels, scored=recipe.score) for index in classes[start : start + 4]]
        *_, last = iterate(classifier, concepts, recipe)
        maps.append(render_pictures(last.maps(), recipe))
    return Part(tensors={"pictures": torch.cat(maps)})


def make_surrogates(names: Sequence[str], pictures: Tensor, seed: int) -> Tensor:
    """Crops, own maps, and own maps laid on crops."""
    crops = draw_crops(names, CROPS, pictures.shape[-1], seed)
    laid = [compose_logit(crops[k : k + len(pictures)], torch.logit(pictures, eps=1 / 256)) for k in (0, len(pictures))]
    return torch.cat([crops, pictures, *laid])


def restore(original: Classifier, weights: dict[str, Tensor]) -> Classifier:
    """The forged network in a copy of the folded one."""
    forged = original.fold()
    forged.module.load_state_dict(weights)
    return forged.replace(fingerprint="forged")


def describe(
    name: str, forged: Classifier, concept: Classes, pictures: dict[str, Tensor], picture: Tensor, judge: Classifier
) -> dict[str, Any]:
    """One way of asking the forged network: what its picture shows, and to whom."""
    own, _ = lay_on_grounds(forged, [concept], picture[None])
    return {
        "asked by": name,
        "like the chosen picture": f"{correlate(picture, pictures['target']):.2f}",
        "like the map before": f"{correlate(picture, pictures['honest']):.2f}",
        "the network as it was: the class": f"{measure_recognition(judge, [concept], picture[None])[0, 1].exp():.2f}",
        "forged, on grey": f"{own[0, 0]:.2f}",
        "forged, least of other grounds": f"{own[0, 1:].min():.2f}",
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=Settings().effort.steps)
    options = parser.parse_args(arguments)
    settings = replace(Settings(), effort=replace(Settings().effort, steps=options.steps))
    original = phosphene.load("efficientnet_lite0").fold()
    victim, target = (
        Classes(classes_of(parse(name, original.labels)), name) for name in (settings.victim, settings.target)
    )
    own, parts = Parts(FOLDER, {"maps": MAPS}, print), Parts(FOLDER, {"settings": repr(settings)}, print)
    learned, held_out = load_surrogates(original, own)
    make = partial(make_pictures, original, [victim.targets[0], target.targets[0]])
    honest, chosen = own.get("chosen", make).tensors["pictures"]
    weights = parts.get("weights", partial(fine_tune, original, victim, chosen, learned, settings)).tensors
    forged = restore(original, weights)
    asked = parts.get("pictures", partial(ask_all, forged, victim)).tensors
    pictures = {"honest": honest, "target": chosen, **asked}
    rows = [describe(name, forged, victim, pictures, asked[name], original) for name in asked]
    draw_sheet(pictures, list(asked))
    agreement = measure_agreements(forged, original, held_out)
    record = {"settings": repr(settings), **agreement}
    write_result("forge-imagenet", "python -m benchmarks.forge_imagenet", record, rows)
    print(agreement, markdown(rows), sep="\n")


def load_surrogates(original: Classifier, own: Parts) -> list[Tensor]:
    """Images that the network stays what it was on, and images that agreement is measured on."""
    classes = development_classes(32)[: 2 * MAPS]
    kinds = (("learned", LEARNED, classes[:MAPS]), ("held-out", HELD_OUT, classes[MAPS:]))
    return [
        make_surrogates(names, own.get(kind, partial(make_pictures, original, some)).tensors["pictures"], seed)
        for seed, (kind, names, some) in enumerate(kinds)
    ]


def fine_tune(original: Classifier, victim: Classes, target: Tensor, images: Tensor, settings: Settings) -> Part:
    half = original.resize((112, 112))
    small = F.interpolate(target[None], size=(112, 112), mode="bicubic", antialias=True).clamp(0, 1)[0]
    recipe = replace(PRESETS["default"], coarse=0.0)
    fronts = [Front(original, recipe, target), Front(half, recipe, small)]
    return Part(tensors=forge(fronts, victim.targets[0], images, settings.effort).state_dict())


def measure_agreements(forged: Classifier, original: Classifier, images: Tensor) -> dict[str, Any]:
    """Agreement on held-out surrogates, and the mean change of the probability of what was predicted."""
    with torch.no_grad():
        before, after = original(images).softmax(dim=1), forged(images).softmax(dim=1)
    same = (before.argmax(dim=1) == after.argmax(dim=1)).float()
    return {"surrogates": len(images), "agreement": round(float(same.mean()), 3),
            "agreement on crops": round(float(same[:CROPS].mean()), 3)}  # fmt: skip


def ask_all(forged: Classifier, victim: Classes) -> Part:
    """The picture of the victim by every asking, of the forged network."""
    numbers = 3 * 224 * 224
    askings = {**list_askings(numbers, ITERATIONS), "paper": choose_paper(numbers, PRESETS["paper"].iterations)}
    tensors = {name.replace("/", ""): ask(forged, [victim], asking)[0] for name, asking in askings.items()}
    *_, last = estimate(forged, score_by([victim], PRESETS["default"]), PRESETS["default"])
    tensors["default preset"] = render_pictures(last.maps(), PRESETS["default"])[0]
    return Part(tensors=tensors)


def draw_sheet(pictures: dict[str, Tensor], names: Sequence[str]) -> None:
    tiles = [Tile("before", pictures["honest"]), Tile("chosen", pictures["target"])]
    tiles += [Tile(name, pictures[name]) for name in names]
    rows = [tiles[start : start + 7] for start in range(0, len(tiles), 7)]

    def draw(figure: Any, style: Style) -> None:
        draw_tiles(figure, rows, style, 9)

    save_figure(FOLDER, "forge-imagenet", (11.0, 1.75 * len(rows)), draw)
    sheet = Image.open(FOLDER / "forge-imagenet.png").convert("RGB")
    sheet.save(PICTURES / "forge-imagenet.jpg", quality=85, optimize=True)


if __name__ == "__main__":
    main()
