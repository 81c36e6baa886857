"""The input-agnostic maps of the classes B, for which no photograph is used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from phosphene.method.importance import compute_importance
from phosphene.method.recognition import measure_recognition
from phosphene.method.scaling import render_pictures
from phosphene.model.classifier import Classifier
from phosphene.recipe.concepts import Concept
from phosphene.recipe.recipe import Recipe
from phosphene.studies.agnostic import estimate_maps
from phosphene.studies.attributions import SHIFT, ShiftedModule
from phosphene.studies.folder import Part
from phosphene.studies.heat_maps import correlate_pairs, correlate_ranks, measure_share
from phosphene.studies.photographs import Photograph
from phosphene.studies.similarity import compare_features, list_pairs


def measure_agnostic_maps(
    classifier: Classifier,
    concepts: Sequence[Concept],
    photographs: Sequence[Photograph],
    recipe: Recipe,
    other: Recipe,
    feature_extractors: Sequence[Classifier] = (),
) -> Part:
    """The maps and the numbers of the three questions; again by the `other` recipe, and of the shifted network.

    Pictures are compared in the features of `feature_extractors`, by preference other models than the maps' own.
    """
    shifted = _shift_classifier(classifier)
    versions = {"first": (classifier, recipe), "seeds": (classifier, other), "shift": (shifted, recipe)}
    maps = {name: estimate_maps(model, concepts, one) for name, (model, one) in versions.items()}
    importance = {name: compute_importance(model, concepts, maps[name], one) for name, (model, one) in versions.items()}
    pictures = {name: render_pictures(maps[name], one) for name, (_, one) in versions.items()}
    numbers: dict[str, Any] = {
        "inside": _measure_inside(importance["first"], photographs),
        "called": measure_recognition(classifier, concepts, pictures["first"])[:, 0].tolist(),
        "shifted_called": measure_recognition(shifted, concepts, pictures["shift"])[:, 0].tolist(),
        **_compare_importance(importance),
        **_compare_pictures(pictures, feature_extractors or [classifier]),
    }
    return Part(numbers, {"pictures": pictures["first"], "evidence": importance["first"], "maps": maps["first"]})


def _measure_inside(importance: Tensor, photographs: Sequence[Photograph]) -> dict[str, list[float]]:
    """For each photograph with an outline, the share of the importance of each map inside."""
    return {
        photograph.name: [measure_share(plane, photograph.region) for plane in importance]
        for photograph in photographs
        if photograph.region is not None
    }


def _compare_importance(importance: Mapping[str, Tensor]) -> dict[str, list[float]]:
    """Rank correlations between classes, and of each class between seeds and after the shift."""
    first = importance["first"]
    return {
        "classes": correlate_pairs(list(first)),
        **{
            name: [correlate_ranks(*pair) for pair in zip(first, importance[name], strict=True)]
            for name in ("seeds", "shift")
        },
    }


def _compare_pictures(pictures: Mapping[str, Tensor], extractors: Sequence[Classifier]) -> dict[str, list[float]]:
    """Similarity of the pictures between classes, and of each class between seeds and after the shift."""
    matrices = {name: compare_features(pictures["first"], one, extractors) for name, one in pictures.items()}
    return {
        "alike classes": list_pairs(matrices["first"]),
        "alike seeds": matrices["seeds"].diagonal().tolist(),
        "alike shift": matrices["shift"].diagonal().tolist(),
    }


def _shift_classifier(classifier: Classifier) -> Classifier:
    """A classifier whose network subtracts a constant from every image, which the method does not take into account."""
    return Classifier(
        ShiftedModule(classifier.module, SHIFT),
        classifier.format,
        name=f"{classifier.name} shifted",
        labels=classifier.labels,
    )
