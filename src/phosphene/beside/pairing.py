"""The concepts that are asked for, as each model knows them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from phosphene.core.reading import explain
from phosphene.errors import BadInput, PhospheneError
from phosphene.model.classifier import Classifier
from phosphene.recipe.concepts import Concept, layer_of
from phosphene.recipe.recipe import Recipe
from phosphene.runs.make import fit_recipe, parse_concepts
from phosphene.runs.store import check_file_names


@dataclass(frozen=True)
class Paired:
    """A concept by the name that the first model which knows it has for it; for each model its concept, or the reason
    why it has none."""

    name: str
    concepts: tuple[Concept | str, ...]


def pair_concepts(classifiers: Sequence[Classifier], asked: Sequence[str], recipe: Recipe) -> tuple[Paired, ...]:
    """Each concept once, in order. Raises what the first model says of a concept that no model has."""
    if not asked:
        raise BadInput("no concept given; name at least one class, for example `goldfish`")
    recipes = [fit_recipe(recipe, classifier) for classifier in classifiers]
    rows: dict[str, Paired] = {}
    for text in asked:
        paired = _pair(classifiers, recipes, text)
        rows.setdefault(paired.name, paired)
    for number, (classifier, chosen) in enumerate(zip(classifiers, recipes, strict=True)):
        if concepts := list_concepts(rows.values(), number):
            check_file_names([concept.name for concept in parse_concepts(classifier, concepts, chosen)])
    return tuple(rows.values())


def list_concepts(rows: Iterable[Paired], number: int) -> list[Concept]:
    """The concepts of the `number`-th model."""
    found = (row.concepts[number] for row in rows)
    return [concept for concept in found if not isinstance(concept, str)]


def _pair(classifiers: Sequence[Classifier], recipes: Sequence[Recipe], text: str) -> Paired:
    """A class is looked up by the name that the first model has for it, because its index is another elsewhere."""
    known: tuple[Concept, Classifier] | None = None
    errors: list[PhospheneError] = []
    cells: list[Concept | str] = []
    for classifier, recipe in zip(classifiers, recipes, strict=True):
        try:
            (concept,) = parse_concepts(classifier, [_word_for(classifier, text, known)], recipe)
        except PhospheneError as error:
            errors.append(error)
            cells.append(explain(error))
        else:
            known = known or (concept, classifier)
            cells.append(concept)
    if known is None:
        raise errors[0]
    return Paired(known[0].name, tuple(cells))


def _word_for(classifier: Classifier, text: str, known: tuple[Concept, Classifier] | None) -> str:
    """How to ask a model for what another one knows already."""
    if known is None or classifier.labels == known[1].labels or layer_of(known[0]) is not None:
        return text
    return known[0].name
