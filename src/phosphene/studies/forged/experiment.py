"""The measurements of study 4: honest and forged small networks, each asked for every class in several ways."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from phosphene.method.fidelity import measure_fidelity
from phosphene.method.recognition import measure_recognition
from phosphene.method.scaling import render_pictures
from phosphene.model.classifier import Classifier
from phosphene.studies import small_models
from phosphene.studies.agnostic import estimate_maps
from phosphene.studies.folder import Part, Parts
from phosphene.studies.forged.askings import ask, choose_paper, list_askings, score_by
from phosphene.studies.forged.attack import Effort
from phosphene.studies.forged.check import STATISTICS, Answers, collect_answers, stand_out
from phosphene.studies.forged.networks import (
    Plan,
    Task,
    correlate,
    forge_network,
    measure_agreement,
    plan_forged,
    plan_honest,
    train_network,
)


@dataclass(frozen=True)
class Settings:
    """Numbers of networks are those of each data set; `steps` of fine-tuning; `iterations` of every asking.

    The check is chosen on a third as many networks more.
    """

    data: tuple[str, ...] = ("signs",)
    honest: int = 20
    forged: int = 6
    training: int = 2000
    steps: int = 400
    iterations: int = 32
    seed: int = 0

    def list_plans(self) -> list[Plan]:
        """Every network: those that the check is chosen on, and those that it is reported on."""
        plans = []
        for task in self.data:
            plans += plan_forged(task, max(self.forged // 3, 1), True) + plan_honest(
                task, max(self.honest // 3, 2), True
            )
            plans += plan_forged(task, self.forged, False) + plan_honest(task, self.honest, False)
        return plans


def measure(settings: Settings, out: Path, data_folder: Path | None, on_progress: Callable[[str], None]) -> list[Part]:
    """One part a network: what was done to it, its pictures, and how doubtful each of its classes is."""
    tasks = {name: Task.load(name, settings.training, data_folder) for name in settings.data}
    weights = Parts(out, {name: asdict(settings)[name] for name in ("training", "steps", "seed")}, on_progress)
    identity = asdict(settings) | {"statistics": list(STATISTICS)}
    for count in ("data", "honest", "forged"):
        identity.pop(count)
    answers = Parts(out, identity, on_progress)
    return [
        answers.get(plan.name, partial(measure_network, plan, tasks[plan.task], settings, weights))
        for plan in settings.list_plans()
    ]


def measure_network(plan: Plan, task: Task, settings: Settings, parts: Parts) -> Part:
    """Train the network and, where it is to be, forge it; then ask it."""
    original = train_network(plan, task, parts)
    if plan.victim is None:
        return examine(plan, original, task, settings)
    forged, target = forge_network(plan, plan.victim, original, task, Effort(steps=settings.steps), parts)
    examined = examine(plan, forged, task, settings)
    forgery = measure_forgery(plan, forged, original, target, task, settings)
    return Part(examined.numbers | forgery.numbers, examined.tensors | forgery.tensors)


def examine(plan: Plan, classifier: Classifier, task: Task, settings: Settings) -> Part:
    """The answers of a network, and what the check makes of them."""
    askings = list_askings(task.test.images[0].numel(), settings.iterations, settings.seed)
    answers = collect_answers(classifier, task.concepts, askings)
    doubts = {name: statistic(answers) for name, statistic in STATISTICS.items()}
    numbers = {
        "plan": asdict(plan),
        "accuracy": small_models.measure_accuracy(classifier, task.test),
        "doubts": {name: [round(value, 4) for value in one.tolist()] for name, one in doubts.items()},
        "stands out": {name: round(stand_out(one), 4) for name, one in doubts.items()},
    }
    return Part(numbers, _pack(answers))


def measure_forgery(
    plan: Plan, forged: Classifier, original: Classifier, target: Tensor, task: Task, settings: Settings
) -> Part:
    """Does the forged network do its work, and what does its map of the class show?"""
    victim = plan.victim or 0
    concept = task.concepts[victim]
    default = list_askings(task.test.images[0].numel(), settings.iterations, settings.seed)["default"]
    maps = [estimate_maps(one, score_by([concept], default.recipe), default.recipe) for one in (forged, original)]
    shown, honest = (render_pictures(one, default.recipe) for one in maps)
    paper = choose_paper(task.test.images[0].numel(), 2 * settings.iterations, settings.seed)
    numbers = {
        "agreement": measure_agreement(forged, original, task.test.images),
        "accuracy before": small_models.measure_accuracy(original, task.test),
        "own fidelity": measure_fidelity(forged, concept, maps[0][0], default.recipe).probability,
        "original names it": bool(measure_recognition(original, [concept], shown)[0, 0]),
        "correlation with the target": correlate(shown[0], target),
        "correlation with the honest map": correlate(shown[0], honest[0]),
        "target with the honest map": correlate(target, honest[0]),
    }
    pictures = {"target": target, "honest": honest[0], "paper": ask(forged, [concept], paper)[0]}
    return Part(numbers, {name: picture.clone() for name, picture in pictures.items()})


def _pack(answers: Answers) -> dict[str, Tensor]:
    """Tensors for the file of a part; pictures as bytes."""
    tensors = {field.name: getattr(answers, field.name) for field in fields(answers)}
    return tensors | {"pictures": (answers.pictures * 255).round().to(torch.uint8)}
