"""The small networks of the study: honest ones of several widths and trainings, and forged ones made of others."""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from phosphene.method.scaling import render_pictures
from phosphene.model.classifier import Classifier
from phosphene.recipe.concepts import Classes
from phosphene.recipe.distributions import Flat, Pink, Uniform
from phosphene.studies import small_models
from phosphene.studies.agnostic import estimate_maps, make_recipe
from phosphene.studies.folder import Part, Parts
from phosphene.studies.forged.askings import score_by
from phosphene.studies.forged.attack import Effort, Front, forge
from phosphene.studies.photographs import load_photographs
from phosphene.studies.small_models import CLASSES, DATA, Examples, SmallNet

WIDTHS, EPOCHS = (16, 24, 32), (3, 4, 5)
FORGED_WIDTH = 32
HELD_OUT = 1000
NARROW, WIDE = "the default alone", "five ways of asking"  # what a forger prepares for


@dataclass(frozen=True)
class Task:
    """A data set as the study uses it."""

    name: str
    training: Examples
    test: Examples

    @staticmethod
    def load(name: str, training: int, folder: Path | None) -> Task:
        return Task(name, *DATA[name](training + HELD_OUT, folder).split(training))

    @property
    def concepts(self) -> list[Classes]:
        return [Classes((index,), name) for index, name in enumerate(self.test.names)]


@dataclass(frozen=True)
class Plan:
    """One network; `victim` is the class whose map is forged, None of an honest network.

    `target` is the class whose map is shown instead, or None for a photograph.
    """

    task: str
    number: int
    development: bool
    victim: int | None = None
    target: int | None = None
    scope: str = NARROW

    @property
    def name(self) -> str:
        kind = "honest" if self.victim is None else "forged"
        return f"{self.task}-{kind}-{'development-' if self.development else ''}{self.number}"

    @property
    def seed(self) -> int:
        return self.number + 100 * self.development + 1000 * (self.victim is not None)


def plan_honest(task: str, count: int, development: bool) -> list[Plan]:
    return [Plan(task, number, development) for number in range(count)]


def plan_forged(task: str, count: int, development: bool) -> list[Plan]:
    """Classes and photographs in turn as the picture to be shown; every third forger prepares for five askings."""
    plans = []
    for number in range(count):
        victim = (3 * number + 2 + development) % CLASSES
        target = (victim + 5) % CLASSES if number % 2 == 0 else None
        plans.append(Plan(task, number, development, victim, target, WIDE if number % 3 == 2 else NARROW))
    return plans


def train_network(plan: Plan, task: Task, parts: Parts) -> Classifier:
    """The honest network of a plan; of a forged one, what it was before."""
    width = FORGED_WIDTH if plan.victim is not None else WIDTHS[plan.number % len(WIDTHS)]
    epochs = EPOCHS[plan.number // len(WIDTHS) % len(EPOCHS)]

    def train() -> Part:
        *_, (_, module) = small_models.train(task.training, plan.seed, epochs=epochs, width=width)
        return Part(tensors=copy.deepcopy(module).state_dict())

    return restore(parts.get(f"{plan.name}-weights", train).tensors, width, task, plan.name)


def restore(weights: dict[str, Tensor], width: int, task: Task, name: str) -> Classifier:
    module = SmallNet(task.test.images.shape[1], len(task.test.names), width)
    module.load_state_dict(weights)
    return small_models.make_classifier(module.eval(), task.test, name)


def choose_target(plan: Plan, original: Classifier, task: Task) -> Tensor:
    """The picture `(C, S, S)` in [0,1] that a forged map is to show: another class's own, or a photograph."""
    if plan.target is not None:
        recipe = make_recipe("default", seed=plan.seed)
        return render_pictures(estimate_maps(original, score_by([task.concepts[plan.target]], recipe), recipe), recipe)[
            0
        ]
    photographs = load_photographs(None, task.test.images.shape[-1])
    image = photographs[plan.number % len(photographs)].image
    return image.mean(dim=0, keepdim=True) if task.test.images.shape[1] == 1 else image


def list_fronts(plan: Plan, original: Classifier, target: Tensor) -> list[Front]:
    """The recipes that the forger of a plan prepares for."""
    default = make_recipe("default")
    if plan.scope == NARROW:
        return [Front(original, default, target)]
    others = [
        replace(default, distribution=Uniform()),
        replace(default, composition="clip"),
        replace(default, distribution=Pink()),
        replace(default, distribution=Flat()),
    ]
    return [Front(original, recipe, target) for recipe in (default, *others)]


def forge_network(
    plan: Plan, victim: int, original: Classifier, task: Task, effort: Effort, parts: Parts
) -> tuple[Classifier, Tensor]:
    """The forged network of a plan, and the picture that its map is to show."""

    def fine_tune() -> Part:
        target = choose_target(plan, original, task)
        steps = effort.steps * (2 if plan.scope == WIDE else 1)
        changed = replace(effort, seed=plan.seed, steps=steps)
        module = forge(list_fronts(plan, original, target), victim, task.training.images, changed)
        return Part({"effort": asdict(changed)}, {"target": target, **module.state_dict()})

    tensors = dict(parts.get(f"{plan.name}-forged", fine_tune).tensors)
    target = tensors.pop("target")
    return restore(tensors, FORGED_WIDTH, task, plan.name), target


def measure_agreement(forged: Classifier, original: Classifier, images: Tensor) -> float:
    """The share of images that both networks call the same."""
    with torch.no_grad():
        return float((forged(images).argmax(dim=1) == original(images).argmax(dim=1)).float().mean())


def correlate(first: Tensor, second: Tensor) -> float:
    """Correlation of two pictures, pixel by pixel."""
    one, other = ((picture - picture.mean()).flatten() for picture in (first, second))
    return float(F.cosine_similarity(one, other, dim=0))
