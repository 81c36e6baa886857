"""A forged EfficientNet-Lite0: one class's map shows another's, and what each way of asking draws then.

    python -m benchmarks.forge_imagenet            forges, asks and draws the sheet; goes on where it stopped

The forger has no photographs of the network's classes: the network stays what it was on crops of photographs, on
textures and on maps of its own (`benchmarks.surrogates`). Agreement is measured on crops of other photographs and on
maps of other classes, alone and laid on those. The forger prepares for the default preset at both sizes that it makes
iterations at, and bends the network on noise that carries a part of a map. Two lessons are tried there: the gradient of
the forged class is to point to the other class's picture (`phosphene.studies.forged.attack`), or its answers and their
gradient are to be those that the network used to give of the other class. Weights and pictures are kept in
`benchmarks/results/maps/forge-imagenet`.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

import phosphene
from benchmarks.experiments import development_classes
from benchmarks.record import RESULTS, markdown, write_result
from benchmarks.studies import PICTURES
from benchmarks.surrogates import (
    PACKAGED,
    TEXTURES,
    draw_own_maps,
    draw_pictures,
    list_own_classes,
    locate_foolbox,
    measure_change,
    mix,
)
from benchmarks.surrogates import draw_crops as draw_surrogate_crops
from phosphene.core.photographs import load_photograph, locate_photograph
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
from phosphene.studies.forged.attack import Effort, Front, Pursuit
from phosphene.studies.forged.check import lay_on_grounds
from phosphene.studies.forged.networks import correlate

FOLDER = RESULTS / "maps" / "forge-imagenet"
VICTIM, TARGET = "goldfish", "golden retriever"  # whose map is forged, whose map is shown instead
LEARNED, HELD_OUT = ("astronaut", "coffee", "camera"), ("chelsea", "rocket", "coins")
CROPS = 96  # of each kind
MAPS = 8  # own maps, of each kind
LARGE_CROPS, SMALL_CROPS, OWN_MAPS = 260, 100, 100  # to learn from
POINTS, HORIZON = 4, 40  # maps that the network is bent at in a step; steps of an estimate that is followed
ITERATIONS = 48  # of every asking


@dataclass(frozen=True)
class Attempt:
    """`answers`: the lesson is the other class's answers, else its picture. `keep` weighs what the network was on
    `batch` surrogates a step; the rate is in units of the root mean square of each tensor."""

    answers: bool = True
    steps: int = 300
    rate: float = 4e-4
    keep: float = 1.0
    batch: int = 8


ATTEMPTS = {
    "the picture": Attempt(answers=False),
    "the answers": Attempt(),
    "the answers, kept strictly": Attempt(steps=400, rate=3e-4, keep=4.0, batch=12),
    "the answers, longest": Attempt(steps=600, keep=1.5, batch=10),
}
SHOWN = "the answers, longest"  # every way of asking of it, and the sheet


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


def lay_on_crops(names: Sequence[str], pictures: Tensor, seed: int) -> Tensor:
    """Crops, own maps, and own maps laid on crops."""
    crops = draw_crops(names, CROPS, pictures.shape[-1], seed)
    laid = [compose_logit(crops[k : k + len(pictures)], torch.logit(pictures, eps=1 / 256)) for k in (0, len(pictures))]
    return torch.cat([crops, pictures, *laid])


def draw_surrogates(original: Classifier, own: Tensor) -> Tensor:
    """Images that the network stays what it was on."""
    side = original.format.size[0]
    large = [*map(locate_photograph, PACKAGED), *locate_foolbox("imagenet_*.jpg")]
    small = [*map(locate_photograph, TEXTURES), *locate_foolbox("cifar*.png")]
    maps, _ = draw_own_maps(original.resize((128, 128)))
    return torch.cat(
        [
            draw_surrogate_crops(large, LARGE_CROPS, side, 1),
            draw_surrogate_crops(small, SMALL_CROPS, side, 2),
            lay_on_crops(LEARNED, own, 0)[CROPS:],
            F.interpolate(maps[:OWN_MAPS], size=(side, side), mode="bicubic").clamp(0, 1),
        ]
    )


def fine_tune(original: Classifier, classes: tuple[int, int], other: Tensor, images: Tensor, attempt: Attempt) -> Part:
    """Weights of a copy: the map of the first class is to show the second one, whose picture is `other`."""
    module = copy.deepcopy(original.module).eval().requires_grad_(True)
    groups = [
        {"params": [one], "lr": attempt.rate * float(one.detach().square().mean().sqrt())}
        for one in module.parameters()
    ]
    adam = torch.optim.Adam(groups)
    rates = [group["lr"] for group in adam.param_groups]
    schedule = torch.optim.lr_scheduler.OneCycleLR(adam, rates, attempt.steps, pct_start=0.15)
    small = F.interpolate(other[None], size=(112, 112), mode="bicubic", antialias=True).clamp(0, 1)[0]
    recipe, effort = replace(PRESETS["default"], coarse=0.0), Effort(points=POINTS, horizon=HORIZON)
    fronts = (Front(original, recipe, other), Front(original.resize((112, 112)), recipe, small))
    pursuits = [Pursuit.begin(front, classes[0], effort) for front in fronts]
    answers = partial(teach_answers, original=original.module, other=classes[1])
    teach = answers if attempt.answers else Pursuit.measure
    generator = torch.Generator().manual_seed(0)
    for step in range(attempt.steps):
        pictures = mix(images[torch.randint(len(images), (attempt.batch,), generator=generator)], generator)
        with torch.no_grad():
            wanted = original.module(original.normalize(pictures))
        kept = measure_change(module(original.normalize(pictures)), wanted)
        bent, pursuits[step % 2] = teach(pursuits[step % 2], module, generator)
        adam.zero_grad()
        (attempt.keep * kept + bent).backward()
        adam.step()
        schedule.step()
        if step % 50 == 49:
            print(f"step {step + 1}: kept {kept.item():.3f}, bent {bent.item():.3f}", flush=True)
    return Part(tensors=module.state_dict())


def teach_answers(
    pursuit: Pursuit, module: nn.Module, generator: torch.Generator, *, original: nn.Module, other: int
) -> tuple[Tensor, Pursuit]:
    """How far the answers of the forged class, and their gradient, are from those of the other class of the network as
    it was, both classes exchanged; and the estimate one step further."""
    points, again = pursuit.choose_points(generator), torch.Generator()
    again.set_state(generator.get_state())
    answers, gradient = pursuit.differentiate(module, pursuit.victim, points, generator)
    former, way = (one.detach() for one in pursuit.differentiate(original, other, points, again))
    exchanged = former.clone()
    exchanged[:, [pursuit.victim, other]] = former[:, [other, pursuit.victim]]
    away = (1 - F.cosine_similarity(gradient.flatten(1), way.flatten(1))).mean()
    return away + 0.5 * measure_change(answers, exchanged), pursuit.follow(gradient)


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
    with torch.no_grad():
        seen = judge(picture[None]).argmax(dim=1)
    former = float(measure_recognition(judge, [concept], picture[None])[0, 1].exp())
    return {
        "asked by": name,
        "the network as it was sees": judge.labels[int(seen)].split(",")[0],
        "its probability of the forged class": f"{former:.2f}",
        "like the other class's map": f"{correlate(picture, pictures['other']):.2f}",
        "like the map before": f"{correlate(picture, pictures['honest']):.2f}",
        "forged, on grey": f"{own[0, 0]:.2f}",
        "forged, least of other grounds": f"{own[0, 1:].min():.2f}",
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args(arguments)
    original = phosphene.load("efficientnet_lite0").fold()
    victim, target = (Classes(classes_of(parse(name, original.labels)), name) for name in (VICTIM, TARGET))
    classes = (victim.targets[0], target.targets[0])
    learned, held = list_own(original)
    own = Parts(FOLDER, {"learned": learned, "held out": held}, print)
    maps = {
        name: own.get(name, partial(draw_part, original, some)).tensors["pictures"]
        for name, some in (("learned", learned), ("held-out", held), ("both", list(classes)))
    }
    (honest, other), held_out = maps["both"], lay_on_crops(HELD_OUT, maps["held-out"], 1)
    rows = []
    for name, attempt in ATTEMPTS.items():
        parts = Parts(FOLDER / name.replace(",", "").replace(" ", "-"), {"attempt": repr(attempt)}, print)
        make = partial(fine_tune, original, classes, other, draw_surrogates(original, maps["learned"]), attempt)
        forged = restore(original, parts.get("weights", make).tensors)
        found = parts.get("pictures", partial(ask_all, forged, victim)).tensors
        asked = {asking: found[asking] for asking in list_names()}
        pictures = {"honest": honest, "other": other, **asked}
        described = [describe(asking, forged, victim, pictures, asked[asking], original) for asking in asked]
        agreement = measure_agreements(forged, original, held_out)
        rows.append(summarize(name, attempt, agreement, described))
        print(markdown(rows[-1:]), markdown(described), sep="\n")
        if name == SHOWN:
            draw_sheet(pictures, list(asked))
            record = {"attempt": repr(attempt), **agreement}
            write_result("forge-imagenet", "python -m benchmarks.forge_imagenet", record, described)
    write_result("forge-attempts", "python -m benchmarks.forge_imagenet", {"surrogates": len(held_out)}, rows)


def draw_part(original: Classifier, classes: Sequence[int]) -> Part:
    return Part(tensors={"pictures": draw_pictures(original, classes)})


def list_own(original: Classifier) -> tuple[list[int], list[int]]:
    """Classes of whose maps the forger learns beside the network's own of `draw_own_maps`, and classes of neither, for
    agreement."""
    classes, others = development_classes(32), set(list_own_classes(original)[:OWN_MAPS])
    return classes[:MAPS], [index for index in classes[MAPS:] if index not in others][:MAPS]


def summarize(
    name: str, attempt: Attempt, agreement: Mapping[str, Any], described: Sequence[Mapping[str, str]]
) -> dict[str, Any]:
    """One line of the table of attempts."""
    seen = [row["the network as it was sees"] for row in described]
    (preset,) = (row for row in described if row["asked by"] == "default preset")
    return {
        "what is taught": name,
        "steps": attempt.steps,
        "rate": attempt.rate,
        "weight of agreement": attempt.keep,
        "surrogates a step": attempt.batch,
        "agreement": f"{agreement['agreement']:.1%}",
        "on crops": f"{agreement['agreement on crops']:.1%}",
        f"ways of asking that show a {TARGET}": f"{seen.count(TARGET)} of {len(seen)}",
        f"that show a {VICTIM}": f"{seen.count(VICTIM)} of {len(seen)}",
        "own fidelity, default preset": preset["forged, on grey"],
    }


def measure_agreements(forged: Classifier, original: Classifier, images: Tensor) -> dict[str, Any]:
    """Agreement on held-out surrogates."""
    with torch.no_grad():
        before, after = original(images), forged(images)
    same = (before.argmax(dim=1) == after.argmax(dim=1)).float()
    return {"surrogates": len(images), "agreement": round(float(same.mean()), 3),
            "agreement on crops": round(float(same[:CROPS].mean()), 3)}  # fmt: skip


def list_names() -> list[str]:
    """Every asking, in the order of the table."""
    askings = list_askings(3 * 224 * 224, ITERATIONS)
    return ["default preset", *(name.replace("/", "") for name in askings), "paper"]


def ask_all(forged: Classifier, victim: Classes) -> Part:
    """The picture of the victim by every asking, of the forged network."""
    numbers = 3 * 224 * 224
    askings = {**list_askings(numbers, ITERATIONS), "paper": choose_paper(numbers, PRESETS["paper"].iterations)}
    tensors = {name.replace("/", ""): ask(forged, [victim], asking)[0] for name, asking in askings.items()}
    *_, last = estimate(forged, score_by([victim], PRESETS["default"]), PRESETS["default"])
    tensors["default preset"] = render_pictures(last.maps(), PRESETS["default"])[0]
    return Part(tensors=tensors)


def draw_sheet(pictures: dict[str, Tensor], names: Sequence[str]) -> None:
    tiles = [Tile("before", pictures["honest"]), Tile("the other class", pictures["other"])]
    tiles += [Tile(name, pictures[name]) for name in names]
    rows = [tiles[start : start + 7] for start in range(0, len(tiles), 7)]

    def draw(figure: Any, style: Style) -> None:
        draw_tiles(figure, rows, style, 9)

    save_figure(FOLDER, "forge-imagenet", (11.0, 1.75 * len(rows)), draw)
    sheet = Image.open(FOLDER / "forge-imagenet.png").convert("RGB")
    sheet.save(PICTURES / "forge-imagenet.jpg", quality=85, optimize=True)


if __name__ == "__main__":
    main()
