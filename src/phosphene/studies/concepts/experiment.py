"""The measurements of study 3: every kind of concept on every model, both presets, and a network at every stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from phosphene.core.seeding import make_generator
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
from phosphene.studies.agnostic import make_recipe
from phosphene.studies.concepts.training import Course, measure_stages
from phosphene.studies.folder import Part, Parts
from phosphene.studies.similarity import compare_features, split_by_concept
from phosphene.studies.small_models import load_signs

HELD_OUT = 600
SMALL = "small model"  # trained here, on generated signs
NOISES = 8  # draws of each kind of noise on which a channel is measured
Texts = dict[str, tuple[str, ...]]  # of concepts, by kind


@dataclass(frozen=True)
class Settings:
    """`stages` are the steps of training at which the small model is measured on `signs` (indices of its classes).

    The paper's preset is run on the first `compared` classes of each model.
    """

    models: tuple[str, ...] = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
    classes: tuple[str, ...] = ("goldfish", "zebra", "golden retriever", "daisy", "traffic light", "goose")
    sets: tuple[str, ...] = ("beagle, pug, collie, Siberian husky", "strawberry, orange, lemon, pineapple")
    differences: tuple[str, ...] = ("zebra - sorrel", "tiger cat - tabby")
    channels: tuple[str, ...] = (
        "blocks.0:3",
        "blocks.1:5",
        "blocks.2:7",
        "blocks.3:10",
        "blocks.4:37",
        "blocks.5:50",
        "blocks.6:100",
    )
    compared: int = 4
    small_classes: tuple[str, ...] = ("0", "2", "3", "4", "5")  # of the small model, signs by their index
    small_sets: tuple[str, ...] = ("0, 1", "2, 5")
    small_differences: tuple[str, ...] = ("0 - 1", "3 - 4")
    small_channels: tuple[str, ...] = ("features.0:3", "features.3:5", "features.6:7")
    signs: tuple[int, ...] = (0, 2, 3, 4, 5)
    stages: tuple[int, ...] = (0, 10, 30, 60, 120, 240, 480)
    training: int = 3000
    seed: int = 0

    @property
    def texts(self) -> Texts:
        return {"class": self.classes, "set": self.sets, "difference": self.differences, "channel": self.channels}

    @property
    def small_texts(self) -> Texts:
        """The concepts of the small model."""
        return {
            "class": self.small_classes,
            "set": self.small_sets,
            "difference": self.small_differences,
            "channel": self.small_channels,
        }

    def choose_recipe(self, preset: str) -> Recipe:
        return make_recipe(preset, seed=self.seed)


@dataclass(frozen=True)
class ModelResult:
    """Of one model: its maps by kind of concept, and what was measured of differences and channels."""

    model: str
    maps: dict[str, list[SaliencyMap]]  # class, set, difference, channel
    paper: list[SaliencyMap]  # of the first of the classes, by the paper's preset
    gaps: list[dict[str, Any]]  # one record a difference
    noise: list[dict[str, float]]  # for each channel, its score on each kind of noise

    def by_preset(self) -> dict[str, list[SaliencyMap]]:
        """The same classes by both presets."""
        return {"paper": self.paper, "default": self.maps["class"][: len(self.paper)]}


@dataclass(frozen=True)
class Results:
    """Maps by model, with the predictions of the others in their scores, and one part a stage of training."""

    large: list[ModelResult]
    small: ModelResult
    sizes: list[dict[str, Any]]  # similarity of the pictures of two models to the other models
    stages: list[Part]
    examples: Tensor  # one image of each sign, (signs, C, S, S)

    @property
    def models(self) -> list[ModelResult]:
        return [*self.large, self.small]


def measure(
    settings: Settings, load: Callable[[str], Classifier], out: Path, on_progress: Callable[[str], None]
) -> Results:
    """All measurements, resumed from the files in `out`."""
    models = {name: load(name) for name in settings.models}
    folded = {name: model.fold() for name, model in models.items()}
    large = []
    for name, model in models.items():
        others = [other for key, other in folded.items() if key != name]
        large.append(measure_model(name, model, others, settings.texts, settings, out, on_progress))
    parts = Parts(out, _decisive_settings(settings), on_progress)
    course = Course(*load_signs(settings.training + HELD_OUT, None).split(settings.training), settings.stages)
    networks, others_networks = (course.train(seed, parts) for seed in (settings.seed, settings.seed + 1))
    last, other = (classifiers[max(settings.stages)] for classifiers in (networks, others_networks))
    return Results(
        large,
        measure_model(SMALL, last, [other], settings.small_texts, settings, out, on_progress),
        compare_sizes(large, folded),
        measure_stages(networks, settings.signs, course.test, settings.choose_recipe("default"), parts),
        torch.stack([course.test.select_class(sign, 1)[0] for sign in settings.signs]),
    )


def _decisive_settings(settings: Settings) -> dict[str, Any]:
    """What the parts of the small model depend on."""
    values = {name: asdict(settings)[name] for name in ("signs", "stages", "training", "seed")}
    return values | {"recipe": settings.choose_recipe("default").to_json()}


def measure_model(
    name: str,
    model: Classifier,
    others: Sequence[Classifier],
    texts: Texts,
    settings: Settings,
    out: Path,
    on_progress: Callable[[str], None],
) -> ModelResult:
    """Every kind of concept of one model; `others` predict for its pictures."""
    folder, recipe = out / file_stem(name), settings.choose_recipe("default")
    callbacks = Callbacks(on_finish=lambda reference: on_progress(reference.concept))
    names = [text for kind in texts.values() for text in kind]
    results = iter(make_maps(model, names, recipe, out=folder, verifiers=others, callbacks=callbacks))
    maps = {kind: [next(results) for _ in names] for kind, names in texts.items()}
    compared, paper_recipe = texts["class"][: settings.compared], settings.choose_recipe("paper")
    paper = make_maps(model, compared, paper_recipe, out=folder / "paper", verifiers=others, callbacks=callbacks)
    identity = {"weights": [one.fingerprint for one in (model, *others)], "recipe": recipe.to_json(), "wanted": texts}
    part = Parts(folder, identity, on_progress).get(
        "beside", lambda: measure_differences_and_channels(model.fold(), others, texts, maps["difference"], recipe)
    )
    return ModelResult(name, maps, list(paper), part.numbers["gaps"], part.numbers["noise"])


def measure_differences_and_channels(
    classifier: Classifier,
    others: Sequence[Classifier],
    texts: Texts,
    differences: Sequence[SaliencyMap],
    recipe: Recipe,
) -> Part:
    """What the scores of the maps do not contain: logits of differences, and channels on noise."""
    gaps = []
    for text, saliency in zip(texts["difference"], differences, strict=True):
        gaps.append(measure_gap(classifier, others, parse(text, classifier.labels), saliency, recipe))
    noise = [measure_on_noise(classifier, parse(text, classifier.labels)) for text in texts["channel"]]
    return Part({"gaps": gaps, "noise": noise})


def measure_gap(
    classifier: Classifier, others: Sequence[Classifier], concept: Concept, saliency: SaliencyMap, recipe: Recipe
) -> dict[str, Any]:
    """A difference in logits: on fresh draws with its map and without, and of the other models on the bare picture."""
    with_map, without = measure_excitation(classifier, concept, saliency.map, recipe)
    scores = []
    for other in others:
        with torch.no_grad():
            picture = resize_pictures(saliency.raw_picture[None], other)
            scores.append(concept.score(read(other, picture, [concept])[0]).item())
    return {"with_map": with_map, "without": without, "others": scores}


def measure_on_noise(classifier: Classifier, channel: Concept) -> dict[str, float]:
    """Mean score of a channel on each kind of noise, in its standard deviations."""
    generator = make_generator(0, f"noise/{channel.name}", 0)
    scores = {}
    for kind in KINDS:
        with torch.no_grad():
            images = kind.draw(generator, NOISES, classifier.image_shape)
            scores[type(kind).__name__.lower()] = channel.score(read(classifier, images, [channel])[0]).mean().item()
    return scores


def compare_sizes(large: Sequence[ModelResult], models: dict[str, Classifier]) -> list[dict[str, Any]]:
    """Similarity of the pictures of each class by two models, to the other models (or, of two models, to both)."""
    rows = []
    for one, other in combinations(large, 2):
        extractors = [model for name, model in models.items() if name not in (one.model, other.model)]
        first, second = (
            torch.stack([saliency.raw_picture for saliency in side.maps["class"]]) for side in (one, other)
        )
        matrix = compare_features(first, second, extractors or list(models.values()))
        rows.append({"models": [one.model, other.model], **split_by_concept(matrix)})
    return rows
