"""What the model says when no photograph is shown to it: its input-agnostic maps of the classes B."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from phosphene.evidence.similarity import different_pairs, embed
from phosphene.method.importance import compute_importance
from phosphene.method.recognition import measure_recognition
from phosphene.method.scaling import render_pictures
from phosphene.model.classifier import Classifier
from phosphene.recipe.concepts import Concept
from phosphene.recipe.recipe import Recipe
from phosphene.studies.agnostic import estimated_maps
from phosphene.studies.attributions import SHIFT, Shifted
from phosphene.studies.folder import Part
from phosphene.studies.measures import rank_correlation, share_inside
from phosphene.studies.photographs import Photograph


def agnostic_maps(
    classifier: Classifier, concepts: Sequence[Concept], shown: Sequence[Photograph], recipe: Recipe, other: Recipe,
    judges: Sequence[Classifier] = (),
) -> Part:  # fmt: skip
    """The maps and their answers to the three questions; again with the `other` recipe's seed, and shifted.

    How alike two pictures are is what `judges` see in them, by preference other models than the maps' own.
    """
    unseen = _shifted(classifier)
    made = {"first": (classifier, recipe), "seeds": (classifier, other), "shift": (unseen, recipe)}
    maps = {name: estimated_maps(model, concepts, how) for name, (model, how) in made.items()}
    places = {name: compute_importance(model, concepts, maps[name], how) for name, (model, how) in made.items()}
    pictures = {name: render_pictures(maps[name], how) for name, (_, how) in made.items()}
    seen = {name: embed(one, judges or [classifier]) for name, one in pictures.items()}
    numbers: dict[str, Any] = {
        "inside": {one.name: [share_inside(place, one.region) for place in places["first"]]
                   for one in shown if one.region is not None},
        "called": measure_recognition(classifier, concepts, pictures["first"])[:, 0].tolist(),
        "shifted_called": measure_recognition(unseen, concepts, pictures["shift"])[:, 0].tolist(),
        "classes": [rank_correlation(places["first"][i], places["first"][j])
                    for i in range(len(concepts)) for j in range(i)],
        "alike classes": different_pairs(seen["first"].compare(seen["first"])["features"]).tolist(),
    }  # fmt: skip
    for name in ("seeds", "shift"):
        numbers[name] = [rank_correlation(*pair) for pair in zip(places["first"], places[name], strict=True)]
        numbers[f"alike {name}"] = seen["first"].compare(seen[name])["features"].diagonal().tolist()
    return Part(numbers, {"pictures": pictures["first"], "evidence": places["first"], "maps": maps["first"]})


def _shifted(classifier: Classifier) -> Classifier:
    """A classifier whose network takes the constant off every image, while nobody tells the method."""
    return Classifier(Shifted(classifier.module, SHIFT), classifier.format, name=f"{classifier.name} shifted",
                      labels=classifier.labels)  # fmt: skip
