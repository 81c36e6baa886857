"""What models call bare pictures, as scores of a map."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from phosphene.method.recognition import measure_recognition, resize_pictures, top_classes, top_outputs
from phosphene.model.classifier import Classifier
from phosphene.model.readout import read
from phosphene.recipe.concepts import Concept, find_texts, readout_of
from phosphene.recipe.names import class_names
from phosphene.runs.scores import Guess, Opinion


def guess_classes(
    classifier: Classifier, pictures: Tensor, concepts: Sequence[Concept] = ()
) -> list[tuple[Guess, ...]]:
    """The five strongest classes of each picture `(N, C, H, W)` in [0,1], with their names; among them the texts that
    the picture's concept asks for."""
    names = class_names(classifier.labels)
    rows = [_name_guesses(row, names) for row in top_classes(classifier, pictures)]
    for place, concept in enumerate(concepts):
        if texts := find_texts(concept):
            with torch.no_grad():
                (outputs,) = read(classifier, pictures[place, None], [concept])
            rows[place] = _name_guesses(top_outputs(classifier, outputs)[0], (*names, *texts))
    return rows


def _name_guesses(row: Sequence[tuple[int, float]], names: Sequence[str]) -> tuple[Guess, ...]:
    return tuple(Guess(index, names[index], round(share, 4)) for index, share in row)


def collect_opinions(
    verifiers: Sequence[Classifier], concepts: Sequence[Concept], pictures: Tensor
) -> list[tuple[Opinion, ...]]:
    """What other models, with the same classes, call the bare picture of each concept."""
    by_verifier = [_opinions_of(verifier, concepts, pictures) for verifier in verifiers]
    return [tuple(opinions[place] for opinions in by_verifier) for place in range(len(concepts))]


def _opinions_of(verifier: Classifier, concepts: Sequence[Concept], pictures: Tensor) -> list[Opinion]:
    guesses = guess_classes(verifier, resize_pictures(pictures, verifier))
    return [
        Opinion(verifier.name, *_agreement(verifier, concept, picture), top5, verifier.fingerprint)
        for concept, picture, top5 in zip(concepts, pictures, guesses, strict=True)
    ]


def _agreement(verifier: Classifier, concept: Concept, picture: Tensor) -> tuple[bool | None, float | None]:
    """Whether the verifier sees the concept, and how probable it is; None for a channel, which no other model has, and
    for a text."""
    if readout_of(concept) is not None:
        return None, None
    ((top, log_probability),) = measure_recognition(verifier, [concept], picture[None]).tolist()
    return bool(top), round(log_probability, 4)
