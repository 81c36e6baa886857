"""What is written down about a model: enough to know it again."""

from __future__ import annotations

from dataclasses import dataclass

from phosphene.model.classifier import Classifier
from phosphene.model.input_format import InputFormat


@dataclass(frozen=True)
class ModelRecord:
    """A model by name, fingerprint of its weights, input format, number and kind of outputs."""

    name: str
    fingerprint: str
    input: InputFormat
    outputs: int
    output_kind: str = "softmax"

    @staticmethod
    def of(classifier: Classifier) -> ModelRecord:
        return ModelRecord(
            classifier.name,
            classifier.fingerprint,
            classifier.format,
            len(classifier.labels),
            classifier.output_kind.name,
        )
