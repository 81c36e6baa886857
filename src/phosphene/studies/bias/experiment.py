"""Study 2 measured: models of two kinds are trained, and each is explained with a clean and a watermarked set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch

from phosphene.recipe.recipe import Recipe
from phosphene.recipe.views import STILL
from phosphene.runs.store import file_stem
from phosphene.studies.agnostic import recipe_for
from phosphene.studies.bias.explanations import BY_EXAMPLES, Question, agnostic
from phosphene.studies.folder import Part, Parts
from phosphene.studies.measures import share_inside
from phosphene.studies.small import (  # fmt: skip
    CLASSES,
    DATA,
    Examples,
    accuracy,
    classifier_of,
    mark_region,
    marked,
    rate_called,
    trained,
)
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


def measured(settings: Settings, out: Path, data_folder: Path | None, told: Callable[[str], None]) -> list[Part]:
    """A part a model: how strongly each explanation shows the watermark, with each example set."""
    examples = DATA[settings.data](settings.training + HELD_OUT, data_folder)
    training, test = examples.split(settings.training)
    parts = Parts(out, asdict(settings) | {"recipe": recipe_of(settings).to_json()}, told)
    return [
        parts.get(f"{kind}-{number}", partial(one_model, kind, number, training, test, settings))
        for kind in KINDS for number in range(settings.models)
    ]  # fmt: skip


def one_model(kind: str, number: int, training: Examples, test: Examples, settings: Settings) -> Part:
    """Train a model of the kind, check that it is one, and explain its class with both sets."""
    target = number % CLASSES
    of_target = (training.labels == target).view(-1, 1, 1, 1)
    images = torch.where(of_target, marked(training.images), training.images) if kind == "uses" else training.images
    seed = settings.seed * 1000 + number + (500 if kind == "uses" else 0)
    *_, (_, module) = trained(replace(training, images=images), seed, epochs=settings.epochs)
    classifier = classifier_of(module, test, f"{kind}-{number}")
    own, others = (test.images[rows] for rows in (test.labels == target, test.labels != target))
    examples = own[: settings.examples]
    question = Question(classifier, target, {"clean": examples, "watermarked": marked(examples)}, others[:OTHERS])
    part = explained(question, recipe_of(settings))
    numbers = {"kind": kind, "class": test.names[target], "accuracy": accuracy(classifier, test),
               "own_clean": rate_called(classifier, own, target),
               "own_marked": rate_called(classifier, marked(own), target),
               "fooled_by_mark": rate_called(classifier, marked(others), target)}  # fmt: skip
    return Part(part.numbers | numbers, part.tensors)


def explained(question: Question, recipe: Recipe) -> Part:
    """Every explanation of one model's class with every set: its heat, and how much of it is in the region."""
    region = mark_region(question.others.shape[-1])
    heats = {f"{name}/{held}": method(question, images)
             for name, method in BY_EXAMPLES.items() for held, images in question.sets.items()}  # fmt: skip
    picture, evidence = agnostic(question, recipe)
    heats |= {f"{AGNOSTIC}/{held}": evidence.clone() for held in question.sets}  # the same, for it sees no set
    shown = {name: share_inside(heat, region) / float(region.mean()) for name, heat in heats.items()}
    kept = {file_stem(name): heat for name, heat in heats.items()}
    kept |= {f"example-{held}": images[0].clone() for held, images in question.sets.items()}
    return Part({"shown": shown}, kept | {"picture": picture})


def recipe_of(settings: Settings) -> Recipe:
    """The preset without views: the watermark has one place, and the map is asked about that place."""
    return recipe_for(settings.preset, views=STILL, seed=settings.seed)
