"""What is written down about a model: enough to know it again."""

from __future__ import annotations

from dataclasses import dataclass

from phosphene.model.classifier import Classifier
from phosphene.model.input_format import InputFormat


@dataclass(frozen=True)
class ModelRecord:
    """A model by name, fingerprint of its weights, input format, number and kind of outputs.

    `behavior` is what it computes for a few images of noise (`phosphene.model.fingerprint.describe_behavior`). `opened`
    are the options of `phosphene.load` beside its name, files by their names alone.
    """

    name: str
    fingerprint: str
    input: InputFormat
    outputs: int
    output_kind: str = "softmax"
    behavior: tuple[float, ...] = ()  # empty in artifacts of version 0.1
    opened: tuple[tuple[str, str], ...] = ()  # as well

    @staticmethod
    def of(classifier: Classifier) -> ModelRecord:
        return ModelRecord(
            name=classifier.name,
            fingerprint=classifier.fingerprint,
            input=classifier.format,
            outputs=len(classifier.labels),
            output_kind=classifier.output_kind.name,
            behavior=classifier.behavior,
            opened=classifier.opened,
        )
