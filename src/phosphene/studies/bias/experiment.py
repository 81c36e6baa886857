"""The measurements of study 2: models of two kinds, each explained with a clean and a watermarked example set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from phosphene.model.classifier import Classifier
from phosphene.recipe.recipe import Recipe
from phosphene.recipe.views import STILL
from phosphene.runs.store import file_stem
from phosphene.studies import small_models
from phosphene.studies.agnostic import make_recipe
from phosphene.studies.bias.explanations import BY_EXAMPLES, Question, explain_without_examples
from phosphene.studies.folder import Part, Parts
from phosphene.studies.heat_maps import measure_share
from phosphene.studies.small_models import CLASSES, DATA, Examples, add_mark, make_mark_region, measure_rate
from phosphene.studies.words import AGNOSTIC

SETS = ("clean", "watermarked")
KINDS = ("uses", "ignores")  # what a model does with the watermark
HELD_OUT, OTHERS = 1000, 200  # images that no model is trained on; of them, images of other classes for comparison


@dataclass(frozen=True)
class Settings:
    """`models` of each kind; `examples` in a set; `data` a key of `DATA`."""

    models: int = 10
    data: str = "signs"
    training: int = 3000
    epochs: int = 5
    examples: int = 32
    preset: str = "default"
    seed: int = 0


def measure(settings: Settings, out: Path, data_folder: Path | None, on_progress: Callable[[str], None]) -> list[Part]:
    """One part a model: how strongly each explanation shows the watermark, with each example set."""
    examples = DATA[settings.data](settings.training + HELD_OUT, data_folder)
    training, test = examples.split(settings.training)
    parts = Parts(out, asdict(settings) | {"recipe": choose_recipe(settings).to_json()}, on_progress)
    return [
        parts.get(f"{kind}-{number}", partial(measure_model, kind, number, training, test, settings))
        for kind in KINDS
        for number in range(settings.models)
    ]


def measure_model(kind: str, number: int, training: Examples, test: Examples, settings: Settings) -> Part:
    """Train a model of the kind, check that it is one, and explain its class with both example sets."""
    target = number % CLASSES
    classifier = train_model(kind, number, target, training, settings)
    own, others = (test.images[rows] for rows in (test.labels == target, test.labels != target))
    examples = own[: settings.examples]
    sets = {"clean": examples, "watermarked": add_mark(examples)}
    part = explain(Question(classifier, target, sets, others[:OTHERS]), choose_recipe(settings))
    numbers: dict[str, Any] = {
        "kind": kind,
        "class": test.names[target],
        "accuracy": small_models.measure_accuracy(classifier, test),
        "own_clean": measure_rate(classifier, own, target),
        "own_marked": measure_rate(classifier, add_mark(own), target),
        "fooled_by_mark": measure_rate(classifier, add_mark(others), target),
    }
    return Part(part.numbers | numbers, part.tensors)


def train_model(kind: str, number: int, target: int, training: Examples, settings: Settings) -> Classifier:
    """A model whose training images of the target class carry the watermark (`uses`) or do not (`ignores`)."""
    of_target = (training.labels == target).view(-1, 1, 1, 1)
    marked = torch.where(of_target, add_mark(training.images), training.images)
    examples = replace(training, images=marked) if kind == "uses" else training
    seed = settings.seed * 1000 + number + (500 if kind == "uses" else 0)
    *_, (_, module) = small_models.train(examples, seed, epochs=settings.epochs)
    return small_models.make_classifier(module, training, f"{kind}-{number}")


def explain(question: Question, recipe: Recipe) -> Part:
    """Every explanation of one model's class with every example set, and its heat in the region of the watermark."""
    region = make_mark_region(question.others.shape[-1])
    heats = {
        f"{name}/{example_set}": method(question, images)
        for name, method in BY_EXAMPLES.items()
        for example_set, images in question.sets.items()
    }
    picture, evidence = explain_without_examples(question, recipe)
    heats |= {f"{AGNOSTIC}/{example_set}": evidence.clone() for example_set in question.sets}  # it uses no set
    shown = {name: measure_share(heat, region) / float(region.mean()) for name, heat in heats.items()}
    tensors = {file_stem(name): heat for name, heat in heats.items()}
    tensors |= {f"example-{example_set}": images[0].clone() for example_set, images in question.sets.items()}
    return Part({"shown": shown}, tensors | {"picture": picture})


def choose_recipe(settings: Settings) -> Recipe:
    """The preset without views, because the watermark is at one place, which is the place that is measured."""
    return make_recipe(settings.preset, views=STILL, seed=settings.seed)
