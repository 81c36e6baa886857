"""Opinions of models whose classes differ: a class that both have by name is judged, whatever its place and number.

Models with the very same classes judge as verifiers while the maps are made; here is the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from phosphene.beside.columns import can_verify
from phosphene.beside.pairing import Paired
from phosphene.core.locks import lock_folder
from phosphene.model.classifier import Classifier
from phosphene.recipe.concepts import Concept, readout_of
from phosphene.recipe.names import class_names
from phosphene.runs.opinions import collect_opinions
from phosphene.runs.reference import MapReference
from phosphene.runs.scores import Opinion

Judge = tuple[Classifier, Concept]  # a model, and what it takes the map's concept for

ELSEWHERE = -1  # the index of a class that the map's own model does not have


def add_opinions_by_name(
    number: int,
    classifiers: Sequence[Classifier],
    rows: Sequence[Paired],
    maps: Sequence[MapReference],
    folder: Path,
    on_wait: Callable[[str], None],
) -> tuple[MapReference, ...]:
    """The maps of the `number`-th model with the opinions that they lack of models with other classes, written to
    their files."""
    judged = {reference.concept: _find_judges(number, classifiers, rows, reference) for reference in maps}
    if not any(judged.values()):
        return tuple(maps)
    with lock_folder(folder, on_wait):
        return tuple(_add(one, judged[one.concept], classifiers[number].labels) for one in maps)


def _find_judges(
    number: int, classifiers: Sequence[Classifier], rows: Sequence[Paired], reference: MapReference
) -> list[Judge]:
    """Other models that have the concept under the same name, and whose opinion is not there yet."""
    known = {opinion.fingerprint for opinion in reference.scores.opinions}
    known.add(classifiers[number].fingerprint)
    concepts = next(row.concepts for row in rows if _name_of(row.concepts[number]) == reference.concept)
    return [
        (judge, concept)
        for judge, concept in zip(classifiers, concepts, strict=True)
        if not isinstance(concept, str)
        and concept.name == reference.concept
        and readout_of(concept) is None
        and judge.fingerprint not in known
        and can_judge_by_name(judge, classifiers[number])
    ]


def _name_of(concept: Concept | str) -> str | None:
    return None if isinstance(concept, str) else concept.name


def can_judge_by_name(judge: Classifier, classifier: Classifier) -> bool:
    """Whether both have names for their classes, and images of as many channels."""
    named = all(one.labels != tuple(map(str, range(len(one.labels)))) for one in (judge, classifier))
    return named and not can_verify(judge, classifier) and judge.format.channels == classifier.format.channels


def _add(reference: MapReference, judges: Sequence[Judge], labels: tuple[str, ...]) -> MapReference:
    if not judges:
        return reference
    saliency = reference.load()
    added = [_ask(judge, concept, saliency.raw_picture, labels) for judge, concept in judges]
    completed = replace(saliency, scores=replace(saliency.scores, opinions=(*saliency.scores.opinions, *added)))
    completed.save(reference.path)
    return MapReference.to(completed, reference.path)


def _ask(judge: Classifier, concept: Concept, picture: Tensor, labels: tuple[str, ...]) -> Opinion:
    """What the judge makes of the bare picture `(C, H, W)`; its classes get the indices that `labels` has for them."""
    ((opinion,),) = collect_opinions([judge.fold()], [concept], picture[None])
    places = {name: index for index, name in enumerate(class_names(labels))}
    top5 = tuple(replace(guess, index=places.get(guess.name, ELSEWHERE)) for guess in opinion.top5)
    return replace(opinion, top5=top5)
