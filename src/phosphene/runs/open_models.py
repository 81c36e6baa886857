"""Models opened by reference, each once: a job names its model in a few words, and whoever runs it opens it."""

from __future__ import annotations

import pickle
from pathlib import Path

from phosphene.errors import BadInput, BadWeights
from phosphene.model.classifier import Classifier
from phosphene.model.reference import ModelReference
from phosphene.model.sources.libraries import import_torchvision
from phosphene.model.sources.load import load


class OpenModels:
    """Classifiers by their reference, as they are and folded; owned by one run or one worker."""

    def __init__(self) -> None:
        self._open: dict[ModelReference, Classifier] = {}
        self._folded: dict[ModelReference, Classifier] = {}
        self._largest: dict[ModelReference, int] = {}

    def limit_batch(self, reference: ModelReference, wanted: int) -> int:
        """The wanted number of images at once, or fewer where so many have once not fitted into memory."""
        return min(wanted, self._largest.get(reference, wanted))

    def remember_batch(self, reference: ModelReference, size: int) -> None:
        """No job after this one tries more images at once."""
        self._largest[reference] = size

    def add(self, reference: ModelReference, classifier: Classifier) -> ModelReference:
        """Keep a classifier that is open already; returns its reference."""
        self._open.setdefault(reference, classifier)
        return reference

    def has(self, reference: ModelReference) -> bool:
        """Whether the classifier is open."""
        return reference in self._open

    def add_pickled(self, reference: ModelReference, content: bytes) -> None:
        """Open a classifier that this run has pickled itself, on a machine that cannot read its file."""
        if reference not in self._open:
            self._open[reference] = _unpickle(content)

    def open(self, reference: ModelReference) -> Classifier:
        """The classifier with the layers that it was given, opened at the first request.

        Raises `BadWeights` where its weights have changed.
        """
        if reference not in self._open:
            self._open[reference] = _open(reference)
        return self._open[reference]

    def open_folded(self, reference: ModelReference) -> Classifier:
        """The same with its batch norms folded, which is faster; its convolutions are other layers."""
        if reference not in self._folded:
            self._folded[reference] = self.open(reference).fold()
        return self._folded[reference]


def refer_to(classifier: Classifier, folder: Path | None) -> ModelReference:
    """The reference that the classifier carries or, for a module of the user's own, that of a pickle in `folder`;
    without a folder one that is good in this process only. Raises `BadInput` where the module cannot be pickled.
    """
    if classifier.reference is not None:
        return classifier.reference
    name = f"{classifier.fingerprint[:16]}-{id(classifier)}.pickle"
    if folder is None:
        return ModelReference(classifier.fingerprint, pickled=name)
    path = folder / name
    try:
        path.write_bytes(pickle.dumps(classifier))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise BadInput(
            f"{classifier.name} cannot be sent to another process ({error}); expected a model that can be pickled, or "
            f"use one worker"
        ) from error
    return ModelReference(classifier.fingerprint, pickled=str(path))


def _open(reference: ModelReference) -> Classifier:
    classifier = (
        load(**reference.arguments) if reference.pickled is None else _unpickle(Path(reference.pickled).read_bytes())
    )
    if classifier.fingerprint != reference.fingerprint:
        raise BadWeights(
            f"the weights of {classifier.name} changed while maps were made: {classifier.fingerprint[:12]}, expected "
            f"{reference.fingerprint[:12]}; run again"
        )
    return classifier


def _unpickle(content: bytes) -> Classifier:
    """A classifier that this run has pickled itself, a moment ago."""
    try:
        classifier: Classifier = pickle.loads(content)
    except RuntimeError as error:  # a module of timm, where torchvision lacks its compiled operators
        if "torchvision::" not in str(error):
            raise
        import_torchvision()
        classifier = pickle.loads(content)
    return classifier
