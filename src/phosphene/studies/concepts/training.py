"""A small network on generated signs, asked at each stage of its training, from random weights to the end."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from phosphene.evidence.similarity import Embeddings, embed
from phosphene.method.fidelity import measure_fidelity
from phosphene.method.recognition import measure_recognition
from phosphene.method.scaling import render_pictures
from phosphene.model.classifier import Classifier
from phosphene.recipe.concepts import Classes, Concept
from phosphene.recipe.recipe import Recipe
from phosphene.studies.agnostic import estimated_maps
from phosphene.studies.folder import Part, Parts
from phosphene.studies.small import Examples, SmallNet, accuracy, classifier_of, trained

WIDTH, BATCH = 24, 50


@dataclass(frozen=True)
class School:
    """What the network learns from and is tested on, and the steps at which it is looked at."""

    training: Examples
    test: Examples
    steps: tuple[int, ...]

    def networks(self, seed: int) -> dict[int, nn.Module]:
        """The network as it was at each of the steps."""
        epochs = -(-max(self.steps) * BATCH // len(self.training.labels))
        course = trained(self.training, seed, epochs=epochs, batch=BATCH, width=WIDTH)
        return {step: copy.deepcopy(module) for step, module in course if step in self.steps}

    def classifiers(self, seed: int, parts: Parts) -> dict[int, Classifier]:
        """The same as classifiers, kept, so that it is trained once."""

        def train() -> Part:
            return Part(tensors={f"{step}/{name}": tensor for step, module in self.networks(seed).items()
                                 for name, tensor in module.state_dict().items()})  # fmt: skip

        kept = parts.get(f"network-{seed}", train).tensors
        return {step: self._restored(kept, step, seed) for step in self.steps}

    def _restored(self, kept: dict[str, Any], step: int, seed: int) -> Classifier:
        module = SmallNet(self.test.images.shape[1], len(self.test.names), WIDTH)
        prefix = f"{step}/"
        module.load_state_dict({name.removeprefix(prefix): tensor for name, tensor in kept.items()
                                if name.startswith(prefix)})  # fmt: skip
        return classifier_of(module.eval(), self.test, f"small-{seed}-{step}")


def stages(networks: dict[int, Classifier], signs: Sequence[int], test: Examples, recipe: Recipe,
           parts: Parts) -> list[Part]:  # fmt: skip
    """A part a stage: its maps of the signs, and what it and the trained network make of them."""
    end = networks[max(networks)]
    made = [parts.get(f"stage-{step}", partial(one_stage, classifier, end, signs, test, recipe, step))
            for step, classifier in networks.items()]  # fmt: skip
    last = embed(made[-1].tensors["pictures"], [end])
    return [Part(part.numbers | {"to_the_end": alike(embed(part.tensors["pictures"], [end]), last)}, part.tensors)
            for part in made]  # fmt: skip


def one_stage(
    classifier: Classifier, end: Classifier, signs: Sequence[int], test: Examples, recipe: Recipe, step: int
) -> Part:
    """The maps of the signs at one stage, the model's own fidelity to them, and what the trained model calls them."""
    concepts: list[Concept] = [Classes((sign,), str(sign)) for sign in signs]
    maps = estimated_maps(classifier, concepts, recipe)
    pictures = render_pictures(maps, recipe)
    own = [
        measure_fidelity(classifier, concept, one, recipe).probability
        for concept, one in zip(concepts, maps, strict=True)
    ]
    called = measure_recognition(end, concepts, pictures)
    numbers: dict[str, Any] = {"step": step, "accuracy": accuracy(classifier, test), "own": own,
                               "called": called[:, 0].tolist(), "probability": called[:, 1].exp().tolist()}  # fmt: skip
    return Part(numbers, {"pictures": pictures})


def alike(one: Embeddings, other: Embeddings) -> dict[str, list[float]]:
    """How alike each picture looks to that of the same concept, and on average to those of the others."""
    matrix = one.compare(other)["features"]
    same = matrix.diagonal()
    return {"same": same.tolist(), "different": ((matrix.sum(dim=1) - same) / max(len(same) - 1, 1)).tolist()}
