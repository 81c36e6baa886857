"""Study 3 measured: every kind of concept on every model, both presets, and a network at every stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from phosphene.core.seeding import make_generator
from phosphene.evidence.similarity import embed
from phosphene.method.fidelity import measure_excitation
from phosphene.method.recognition import resize_pictures
from phosphene.model.classifier import Classifier
from phosphene.model.readout import KINDS, read
from phosphene.recipe.concepts import Concept
from phosphene.recipe.grammar import parse
from phosphene.recipe.recipe import Recipe
from phosphene.runs.callbacks import Callbacks
from phosphene.runs.make import make_maps
from phosphene.runs.saliency import SaliencyMap
from phosphene.runs.store import file_stem
from phosphene.studies.agnostic import recipe_for
from phosphene.studies.concepts.training import School, alike, stages
from phosphene.studies.folder import Part, Parts
from phosphene.studies.small import generated_signs

HELD_OUT = 600
SMALL = "small model"  # trained here, on generated signs
NOISES = 8  # draws of each kind of noise that a channel is shown


@dataclass(frozen=True)
class Settings:
    """`stages` are the steps of training at which the small model is asked for `signs` (indices of its classes).

    The paper's preset is asked for the first `compared` classes of each model.
    """

    models: tuple[str, ...] = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
    classes: tuple[str, ...] = ("goldfish", "zebra", "golden retriever", "daisy", "traffic light", "goose")
    sets: tuple[str, ...] = ("beagle, pug, collie, Siberian husky", "strawberry, orange, lemon, pineapple")
    differences: tuple[str, ...] = ("zebra - sorrel", "tiger cat - tabby")
    channels: tuple[str, ...] = (
        "blocks.0:3", "blocks.1:5", "blocks.2:7", "blocks.3:10", "blocks.4:37", "blocks.5:50", "blocks.6:100",
    )  # fmt: skip
    compared: int = 4
    small_classes: tuple[str, ...] = ("0", "2", "3", "4", "5")  # of the small model, signs by their index
    small_sets: tuple[str, ...] = ("0, 1", "2, 5")
    small_differences: tuple[str, ...] = ("0 - 1", "3 - 4")
    small_channels: tuple[str, ...] = ("features.0:3", "features.3:5", "features.6:7")
    signs: tuple[int, ...] = (0, 2, 3, 4, 5)
    stages: tuple[int, ...] = (0, 10, 30, 60, 120, 240, 480)
    training: int = 3000
    seed: int = 0

    def wanted(self, small: bool = False) -> dict[str, tuple[str, ...]]:
        """The texts of the concepts, by kind."""
        if small:
            return {"class": self.small_classes, "set": self.small_sets, "difference": self.small_differences,
                    "channel": self.small_channels}  # fmt: skip
        return {"class": self.classes, "set": self.sets, "difference": self.differences, "channel": self.channels}

    def recipe(self, preset: str) -> Recipe:
        return recipe_for(preset, seed=self.seed)


@dataclass(frozen=True)
class Asked:
    """What one model was asked: its maps by kind of concept, what was measured beside them, and the texts."""

    model: str
    maps: dict[str, list[SaliencyMap]]  # class, set, difference, channel
    paper: list[SaliencyMap]  # of the first of the classes, by the paper's preset
    gaps: list[dict[str, Any]]  # a record a difference
    noise: list[dict[str, float]]  # for each channel, its score on each kind of noise

    def by_preset(self) -> dict[str, list[SaliencyMap]]:
        """The same classes by both presets."""
        return {"paper": self.paper, "default": self.maps["class"][: len(self.paper)]}


@dataclass(frozen=True)
class Findings:
    """Maps by model, with the others' opinions in their scores, and a part for each stage of training."""

    large: list[Asked]
    small: Asked
    sizes: list[dict[str, Any]]  # how alike the classes of two models look to the rest
    stages: list[Part]
    examples: Tensor  # one image of each sign, (signs, C, S, S)

    @property
    def asked(self) -> list[Asked]:
        return [*self.large, self.small]


def measured(settings: Settings, load: Callable[[str], Classifier], out: Path, told: Callable[[str], None]) -> Findings:
    """All that is measured, resumed from what lies in `out`."""
    models = {name: load(name) for name in settings.models}
    folded = {name: model.fold() for name, model in models.items()}
    ask = partial(asked, settings=settings, out=out, told=told)
    large = [ask(name, model, [other for key, other in folded.items() if key != name], settings.wanted())
             for name, model in models.items()]  # fmt: skip
    decisive = {name: asdict(settings)[name] for name in ("signs", "stages", "training", "seed")}
    parts = Parts(out, decisive | {"recipe": settings.recipe("default").to_json()}, told)
    school = School(*generated_signs(settings.training + HELD_OUT, None).split(settings.training), settings.stages)
    networks, others = (school.classifiers(seed, parts) for seed in (settings.seed, settings.seed + 1))
    grown, other = (classifiers[max(settings.stages)] for classifiers in (networks, others))
    return Findings(
        large, ask(SMALL, grown, [other], settings.wanted(small=True)), sizes(large, folded),
        stages(networks, settings.signs, school.test, settings.recipe("default"), parts),
        torch.stack([school.test.of_class(sign, 1)[0] for sign in settings.signs]),
    )  # fmt: skip


def asked(
    name: str, model: Classifier, others: Sequence[Classifier], wanted: dict[str, tuple[str, ...]], settings: Settings,
    out: Path, told: Callable[[str], None],
) -> Asked:  # fmt: skip
    """Every kind of concept of one model; the others judge."""
    folder, listener = out / file_stem(name), Callbacks(on_finish=lambda saliency: told(saliency.concept))
    recipe, texts = settings.recipe("default"), [text for kind in wanted.values() for text in kind]
    made = iter(make_maps(model, texts, recipe, out=folder, verifiers=others, callbacks=listener))
    maps = {kind: [next(made) for _ in texts] for kind, texts in wanted.items()}
    paper = make_maps(model, wanted["class"][: settings.compared], settings.recipe("paper"), out=folder / "paper",
                      verifiers=others, callbacks=listener)  # fmt: skip
    folded = model.fold()

    def beside() -> Part:
        gaps = [gap(folded, others, parse(text, model.labels), saliency, recipe)
                for text, saliency in zip(wanted["difference"], maps["difference"], strict=True)]  # fmt: skip
        noise = [on_noise(folded, parse(text, model.labels)) for text in wanted["channel"]]
        return Part({"gaps": gaps, "noise": noise})

    identity = {"weights": [one.fingerprint for one in (model, *others)], "recipe": recipe.to_json(), "wanted": wanted}
    numbers = Parts(folder, identity, told).get("beside", beside).numbers
    return Asked(name, maps, paper, numbers["gaps"], numbers["noise"])


def gap(
    classifier: Classifier, others: Sequence[Classifier], concept: Concept, saliency: SaliencyMap, recipe: Recipe
) -> dict[str, Any]:
    """A difference in logits: on fresh draws with its map and without, and on the bare picture as others see it."""
    with_map, without = measure_excitation(classifier, concept, saliency.map, recipe)
    seen = []
    for other in others:
        with torch.no_grad():
            picture = resize_pictures(saliency.raw_picture[None], other)
            seen.append(concept.score(read(other, picture, [concept])[0]).item())
    return {"with_map": with_map, "without": without, "others": seen}


def on_noise(classifier: Classifier, channel: Concept) -> dict[str, float]:
    """How strongly each kind of noise excites a channel on its own, in the deviations that it is scored in."""
    generator = make_generator(0, f"noise/{channel.name}", 0)
    scores = {}
    for kind in KINDS:
        with torch.no_grad():
            images = kind.draw(generator, NOISES, classifier.image_shape)
            scores[type(kind).__name__.lower()] = channel.score(read(classifier, images, [channel])[0]).mean().item()
    return scores


def sizes(large: Sequence[Asked], models: dict[str, Classifier]) -> list[dict[str, Any]]:
    """How alike the pictures of one class by two models look to the models that made neither (or, of two, to both)."""
    rows = []
    for one, other in combinations(large, 2):
        eyes = [model for name, model in models.items() if name not in (one.model, other.model)]
        pictures = (torch.stack([saliency.raw_picture for saliency in side.maps["class"]]) for side in (one, other))
        first, second = (embed(side, eyes or list(models.values())) for side in pictures)
        rows.append({"models": [one.model, other.model], **alike(first, second)})
    return rows
