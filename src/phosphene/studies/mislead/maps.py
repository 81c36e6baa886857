"""The input-agnostic maps of the classes B, for which no photograph is used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
    extractors = feature_extractors or [classifier]
    first = importance["first"]
    numbers: dict[str, Any] = {
        "inside": {
            one.name: [measure_share(plane, one.region) for plane in first]
            for one in photographs
            if one.region is not None
        },
        "called": measure_recognition(classifier, concepts, pictures["first"])[:, 0].tolist(),
        "shifted_called": measure_recognition(shifted, concepts, pictures["shift"])[:, 0].tolist(),
        "classes": correlate_pairs(list(first)),
        "alike classes": list_pairs(compare_features(pictures["first"], pictures["first"], extractors)),
    }
    for name in ("seeds", "shift"):
        numbers[name] = [correlate_ranks(*pair) for pair in zip(first, importance[name], strict=True)]
        similarities = compare_features(pictures["first"], pictures[name], extractors)
        numbers[f"alike {name}"] = similarities.diagonal().tolist()
    return Part(numbers, {"pictures": pictures["first"], "evidence": first, "maps": maps["first"]})


def _shift_classifier(classifier: Classifier) -> Classifier:
    """A classifier whose network subtracts a constant from every image, which the method does not take into account."""
    return Classifier(
        ShiftedModule(classifier.module, SHIFT),
        classifier.format,
        name=f"{classifier.name} shifted",
        labels=classifier.labels,
    )
