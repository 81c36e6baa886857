"""What a model calls bare pictures."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from phosphene.model.classifier import Classifier
from phosphene.model.outputs import is_top, probability
from phosphene.model.readout import read
from phosphene.recipe.concepts import Concept, layer_of

SMALLEST = 1e-30  # a probability that underflowed to 0 has no logarithm


def top_classes(classifier: Classifier, pictures: Tensor, count: int = 5) -> list[list[tuple[int, float]]]:
    """The `count` strongest classes of each picture `(N, C, H, W)` in [0,1], with their probabilities."""
    with torch.no_grad():
        return top_outputs(classifier, classifier(pictures), count)


def top_outputs(classifier: Classifier, outputs: Tensor, count: int = 5) -> list[list[tuple[int, float]]]:
    """The same of outputs `(N, K)`, which may hold texts behind the classes."""
    strongest = classifier.output_kind.probabilities(outputs).topk(min(count, outputs.shape[1]), dim=1)
    rows = zip(strongest.indices.tolist(), strongest.values.tolist(), strict=True)
    return [list(zip(indices, values, strict=True)) for indices, values in rows]


def measure_pictures(classifier: Classifier, concepts: Sequence[Concept], pictures: Tensor) -> list[tuple[float, bool]]:
    """What the map's own model makes of the bare picture `(N, C, H, W)` of each concept: how probable the concept is,
    and whether it is seen. A channel is seen where it is active, whatever the others of its layer do."""
    kind = classifier.output_kind
    with torch.no_grad():
        rows = read(classifier, pictures, concepts)
    shares = [probability(row, concept, kind).item() for row, concept in zip(rows, concepts, strict=True)]
    seen = [
        share > 0 if layer_of(concept) is not None else bool(is_top(row, concept, kind))
        for share, row, concept in zip(shares, rows, concepts, strict=True)
    ]
    return list(zip(shares, seen, strict=True))


def measure_recognition(classifier: Classifier, concepts: Sequence[Concept], pictures: Tensor) -> Tensor:
    """What a model, perhaps another than the map's own, makes of bare pictures: `(N, 2)` of top-1 and log-probability.

    Pictures are resized to the model's own size.
    """
    with torch.no_grad():
        rows = classifier(resize_pictures(pictures, classifier)).split(1)
    kind = classifier.output_kind
    return torch.stack(
        [
            torch.cat([is_top(row, concept, kind), probability(row, concept, kind).clamp(min=SMALLEST).log()])
            for row, concept in zip(rows, concepts, strict=True)
        ]
    )


def resize_pictures(pictures: Tensor, classifier: Classifier) -> Tensor:
    """Pictures `(N, C, h, w)` at the size that a model wants."""
    if tuple(pictures.shape[2:]) == classifier.format.size:
        return pictures
    return F.interpolate(pictures, size=classifier.format.size, mode="bicubic", antialias=True).clamp(0, 1)
