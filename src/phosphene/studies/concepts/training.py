"""A small network on generated signs, measured at each stage of its training, from random weights to the end."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor

from phosphene.method.fidelity import measure_fidelity
from phosphene.method.recognition import measure_recognition
from phosphene.method.scaling import render_pictures
from phosphene.model.classifier import Classifier
from phosphene.recipe.concepts import Classes, Concept
from phosphene.recipe.recipe import Recipe
from phosphene.studies import small_models
from phosphene.studies.agnostic import estimate_maps
from phosphene.studies.folder import Part, Parts
from phosphene.studies.similarity import compare_features, split_by_concept
from phosphene.studies.small_models import Examples, SmallNet

WIDTH, BATCH = 24, 50


@dataclass(frozen=True)
class Course:
    """The training and test examples, and the steps at which the network is measured."""

    training: Examples
    test: Examples
    steps: tuple[int, ...]

    def train(self, seed: int, parts: Parts) -> dict[int, Classifier]:
        """The network at each step as a classifier; its weights are a part, so it is trained once."""
        tensors = parts.get(f"network-{seed}", lambda: self._train(seed)).tensors
        return {step: self._restore(tensors, step, seed) for step in self.steps}

    def _train(self, seed: int) -> Part:
        epochs = -(-max(self.steps) * BATCH // len(self.training.labels))
        course = small_models.train(self.training, seed, epochs=epochs, batch=BATCH, width=WIDTH)
        tensors: dict[str, Tensor] = {}
        for step, module in course:
            if step in self.steps:
                state = copy.deepcopy(module).state_dict()
                tensors |= {f"{step}/{name}": tensor for name, tensor in state.items()}
        return Part(tensors=tensors)

    def _restore(self, tensors: Mapping[str, Tensor], step: int, seed: int) -> Classifier:
        module = SmallNet(self.test.images.shape[1], len(self.test.names), WIDTH)
        prefix = f"{step}/"
        own = {name: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
        module.load_state_dict({name.removeprefix(prefix): tensor for name, tensor in own.items()})
        return small_models.make_classifier(module.eval(), self.test, f"small-{seed}-{step}")


def measure_stages(
    networks: Mapping[int, Classifier], signs: Sequence[int], test: Examples, recipe: Recipe, parts: Parts
) -> list[Part]:
    """One part a stage: its maps of the signs, and the predictions of the network of that stage and of the last one."""
    last = networks[max(networks)]
    stages = [
        parts.get(f"stage-{step}", partial(measure_stage, classifier, last, signs, test, recipe, step))
        for step, classifier in networks.items()
    ]
    final_pictures = stages[-1].tensors["pictures"]
    results = []
    for stage in stages:
        matrix = compare_features(stage.tensors["pictures"], final_pictures, [last])
        results.append(Part(stage.numbers | {"to_the_end": split_by_concept(matrix)}, stage.tensors))
    return results


def measure_stage(
    classifier: Classifier, last: Classifier, signs: Sequence[int], test: Examples, recipe: Recipe, step: int
) -> Part:
    """The maps of the signs at one stage, their fidelity there, and what the last network predicts for them."""
    concepts: list[Concept] = [Classes((sign,), str(sign)) for sign in signs]
    maps = estimate_maps(classifier, concepts, recipe)
    pictures = render_pictures(maps, recipe)
    recognition = measure_recognition(last, concepts, pictures)
    numbers: dict[str, Any] = {
        "step": step,
        "accuracy": small_models.measure_accuracy(classifier, test),
        "own": [
            measure_fidelity(classifier, concept, saliency, recipe).probability
            for concept, saliency in zip(concepts, maps, strict=True)
        ],
        "called": recognition[:, 0].tolist(),
        "probability": recognition[:, 1].exp().tolist(),
    }
    return Part(numbers, {"pictures": pictures})
