"""The measurements of study 1: every method on every photograph, without the stamp and with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from phosphene.errors import BadInput
from phosphene.model.classifier import Classifier
from phosphene.recipe.concepts import Concept
from phosphene.recipe.distributions import Distribution, Pink
from phosphene.recipe.grammar import parse
from phosphene.recipe.recipe import Recipe
from phosphene.runs.store import file_stem
from phosphene.studies.agnostic import make_recipe
from phosphene.studies.attributions import METHODS, Network
from phosphene.studies.folder import Part, Parts
from phosphene.studies.mislead.maps import measure_agnostic_maps
from phosphene.studies.mislead.photograph import measure_photograph
from phosphene.studies.mislead.stamps import estimate_stamps, measure_reach
from phosphene.studies.photographs import FixedImages, Photograph, load_photographs
from phosphene.studies.words import AGNOSTIC

ON_PHOTOGRAPHS, ON_NOISE = "made on the photographs", "made on noise"
STRENGTHS = (16.0, 32.0, 64.0)  # of input-agnostic maps as stamps, in levels of 1/255


@dataclass(frozen=True)
class Settings:
    """`stamp` is the root mean square of a stamp in units of 1/255; `preset` that of the input-agnostic maps."""

    models: tuple[str, ...] = ("efficientnet_lite0", "efficientnet_lite2")
    classes: tuple[str, ...] = ("goldfish", "zebra", "jellyfish", "strawberry", "king penguin", "daisy")
    methods: tuple[str, ...] = tuple(METHODS)
    stamp: float = 3.5
    stamp_iterations: int = 120
    preset: str = "default"
    seed: int = 0


@dataclass(frozen=True)
class Results:
    """What was measured on one model: one record a photograph and class, and the maps to draw."""

    model: str
    pairs: list[dict[str, Any]]  # every photograph with every class; `fooled`: the stamp changed the prediction to B
    photographs: list[Part]
    maps: Part
    reach: list[dict[str, Any]]  # how many pairs other kinds and strengths of stamps change


@dataclass(frozen=True)
class Subject:
    """One model with the photographs and classes of the study."""

    classifier: Classifier
    photographs: Sequence[Photograph]
    settings: Settings

    @property
    def images(self) -> Tensor:
        return torch.stack([photograph.image for photograph in self.photographs])

    def parse_concepts(self, score: str = "logit") -> list[Concept]:
        labels, name = self.classifier.labels, self.classifier.name
        return [parse(text, labels, model=name, scored=score) for text in self.settings.classes]

    def identity(self) -> dict[str, Any]:
        """What every part of the measurements depends on."""
        settings = self.settings
        return {
            "weights": self.classifier.fingerprint,
            "photographs": [[photograph.name, photograph.digest()] for photograph in self.photographs],
            "classes": settings.classes,
            "stamp": [settings.stamp, settings.stamp_iterations, settings.seed],
        }


def measure(
    classifier: Classifier,
    settings: Settings,
    out: Path,
    photos: Path | None,
    on_progress: Callable[[str], None],
    others: Sequence[Classifier] = (),
) -> Results:
    """All measurements on one model, resumed from the parts in `out`; the features of `others` compare its maps."""
    subject = Subject(classifier.fold(), load_photographs(photos, _image_side(classifier)), settings)
    recipe = make_recipe(settings.preset, seed=settings.seed)
    folder, identity = out / file_stem(classifier.name), subject.identity()
    parts = Parts(folder, identity | {"methods": settings.methods}, on_progress)
    stamps = parts.get("stamps", partial(_make_stamps, subject)).tensors
    judges = {"recipe": recipe.to_json(), "judges": [one.name for one in others]}
    map_parts = Parts(folder, identity | judges, on_progress)
    maps = map_parts.get("maps", partial(_make_maps, subject, recipe, others))
    photographs = _measure_photographs(subject, stamps[ON_PHOTOGRAPHS], parts)
    pairs = [pair for part in photographs for pair in part.numbers["pairs"]]
    reach = map_parts.get("reach", partial(_measure_reach, subject, stamps, maps.tensors["maps"]))
    return Results(classifier.name, pairs, photographs, maps, reach.numbers["tried"])


def _image_side(classifier: Classifier) -> int:
    channels, height, width = classifier.image_shape
    if channels != 3 or height != width:
        raise BadInput(
            f"{classifier.name} takes images of {channels}×{height}×{width}; expected a model of square colour "
            f"photographs for this study"
        )
    return height


def _make_stamps(subject: Subject) -> Part:
    """The stamps, estimated on photographs and on noise."""
    distributions: dict[str, Distribution] = {ON_PHOTOGRAPHS: FixedImages(subject.images), ON_NOISE: Pink()}
    concepts, settings = subject.parse_concepts("margin"), subject.settings
    tensors = {
        name: estimate_stamps(
            subject.classifier, concepts, distribution, settings.stamp, settings.stamp_iterations, settings.seed
        )
        for name, distribution in distributions.items()
    }
    return Part(tensors=tensors)


def _make_maps(subject: Subject, recipe: Recipe, others: Sequence[Classifier]) -> Part:
    """Input-agnostic maps of two seeds."""
    return measure_agnostic_maps(
        subject.classifier,
        subject.parse_concepts(),
        subject.photographs,
        recipe,
        replace(recipe, seed=recipe.seed + 1),
        [one.fold() for one in others],
    )


def _measure_photographs(subject: Subject, stamps: Tensor, parts: Parts) -> list[Part]:
    """One part a photograph."""
    network = Network.of(subject.classifier)
    concepts, methods = subject.parse_concepts(), subject.settings.methods
    results = []
    for photograph in subject.photographs:
        compute = partial(measure_photograph, subject.classifier, network, photograph, concepts, stamps, methods)
        results.append(parts.get(f"photograph-{file_stem(photograph.name)}", compute))
    return results


def _measure_reach(subject: Subject, stamps: Mapping[str, Tensor], maps: Tensor) -> Part:
    """For how many photographs each stamp changes the prediction, and the maps themselves at several strengths."""
    strength = subject.settings.stamp
    tried = {name: [(stamps[name], strength)] for name in (ON_PHOTOGRAPHS, ON_NOISE)}
    tried[AGNOSTIC] = [(maps, one) for one in (strength, *STRENGTHS)]
    return Part({"tried": measure_reach(subject.classifier, subject.parse_concepts(), subject.images, tried)})
