"""What the model says when no photograph is shown to it: its input-agnostic maps of the classes B."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from phosphene.classifier import Classifier
from phosphene.concepts import Concept
from phosphene.evidence.similarity import different_pairs, looks
from phosphene.fidelity import recognition
from phosphene.recipe import Recipe
from phosphene.refinement import bare_pictures, importance
from phosphene.study.agnostic import estimated_maps
from phosphene.study.attributions import SHIFT, Shifted
from phosphene.study.folder import Part
from phosphene.study.measures import rank_correlation, share_inside
from phosphene.study.photographs import Photograph


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
    places = {name: importance(model, concepts, maps[name], how) for name, (model, how) in made.items()}
    pictures = {name: bare_pictures(maps[name], how) for name, (_, how) in made.items()}
    seen = {name: looks(one, judges or [classifier]) for name, one in pictures.items()}
    numbers: dict[str, Any] = {
        "inside": {one.name: [share_inside(place, one.region) for place in places["first"]]
                   for one in shown if one.region is not None},
        "called": recognition(classifier, concepts, pictures["first"])[:, 0].tolist(),
        "shifted_called": recognition(unseen, concepts, pictures["shift"])[:, 0].tolist(),
        "classes": [rank_correlation(places["first"][i], places["first"][j])
                    for i in range(len(concepts)) for j in range(i)],
        "alike classes": different_pairs(seen["first"].to(seen["first"])["features"]).tolist(),
    }  # fmt: skip
    for name in ("seeds", "shift"):
        numbers[name] = [rank_correlation(*pair) for pair in zip(places["first"], places[name], strict=True)]
        numbers[f"alike {name}"] = seen["first"].to(seen[name])["features"].diagonal().tolist()
    return Part(numbers, {"pictures": pictures["first"], "evidence": places["first"], "maps": maps["first"]})


def _shifted(classifier: Classifier) -> Classifier:
    """A classifier whose network takes the constant off every image, while nobody tells the method."""
    return Classifier(Shifted(classifier.module, SHIFT), classifier.format, name=f"{classifier.name} shifted",
                      labels=classifier.labels)  # fmt: skip
