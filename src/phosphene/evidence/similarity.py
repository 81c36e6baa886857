"""How similar two maps are, in two ways that do not ask for the same pixels in the same places.

- `features`: cosine of the penultimate features that a model, by preference a verifier, has of the bare pictures.
- `spectrum`: correlation of the pictures' spectral magnitudes, whitened by |f| and pooled into rings and directions
  of the frequency plane: texture and orientation, wherever they are.

Pixel cosine would call two maps of one class different because the object stands elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from phosphene.core.frequency import axes, magnitude
from phosphene.evidence.estimates import check_finite
from phosphene.evidence.layers import find_layers, layer_inputs
from phosphene.method.recognition import resize_pictures
from phosphene.model.classifier import Classifier

RINGS, DIRECTIONS = 8, 12
SIMILARITIES = ("features", "spectrum")


@dataclass(frozen=True)
class Embeddings:
    """Pictures as unit rows `(pictures, D)`, by kind of similarity: a product of two rows is their similarity."""

    rows: Mapping[str, Tensor]

    def compare(self, others: Embeddings) -> dict[str, Tensor]:
        """Similarity in [-1,1] of each picture to each of `others`, `(pictures, others)`, by kind."""
        return {kind: (rows @ others.rows[kind].T).clamp(-1, 1) for kind, rows in self.rows.items()}

    @staticmethod
    def concatenate(parts: Sequence[Embeddings]) -> Embeddings:
        return Embeddings({kind: torch.cat([part.rows[kind] for part in parts]) for kind in SIMILARITIES})


def embed(images: Tensor, feature_extractors: Sequence[Classifier]) -> Embeddings:
    """Embeddings of images `(N, C, H, W)` in [0,1].

    Features of several extractors stand side by side, so that their product is the mean of the extractors' cosines.
    Raises `MeaninglessScore` for an empty image, which has no direction.
    """
    features = [_normalize("features", penultimate_features(one, images)) for one in feature_extractors]
    pooled = pooled_spectrum(images)
    return Embeddings(
        {
            "features": torch.cat(features, dim=1) / math.sqrt(len(features)),
            "spectrum": _normalize("spectrum", pooled - pooled.mean(dim=1, keepdim=True)),
        }
    )


def penultimate_features(classifier: Classifier, images: Tensor) -> Tensor:
    """What the last layer receives, `(N, D)`; the logits of a model that has a single layer."""
    images = resize_pictures(images, classifier)
    head, *others = find_layers(classifier)
    if others:
        return layer_inputs(classifier, head, images)
    with torch.no_grad():
        return classifier(images).cpu()


def pooled_spectrum(images: Tensor) -> Tensor:
    """Mean whitened magnitude in each ring and direction of each channel, `(N, C·rings·directions)`."""
    height, width = images.shape[2:]
    cells = _spectrum_cells(height, width)
    whitened = torch.fft.rfft2(images.cpu(), norm="ortho").abs() * magnitude(height, width)
    sums = torch.zeros(*images.shape[:2], RINGS * DIRECTIONS).index_add_(2, cells, whitened.flatten(2))
    counts = torch.bincount(cells, minlength=RINGS * DIRECTIONS).clamp(min=1)
    return (sums / counts).flatten(1)


def _spectrum_cells(height: int, width: int) -> Tensor:
    """The cell, ring by ring, of each coefficient of `torch.fft.rfft2`, flat. Rings are octaves of |f|."""
    radius, lowest = magnitude(height, width), 1.0 / max(height, width)
    vertical, horizontal = (axis.expand_as(radius) for axis in axes(height, width))
    ring = (radius / lowest).clamp(min=1.0).log2() / math.log2(0.75 / lowest) * RINGS
    direction = (torch.atan2(vertical, horizontal) / math.pi + 0.5) * DIRECTIONS
    cells = ring.long().clamp(max=RINGS - 1) * DIRECTIONS + direction.long().clamp(max=DIRECTIONS - 1)
    return cells.flatten()


def different_pairs(matrix: Tensor) -> Tensor:
    """The entries of a symmetric matrix that compare two different maps, each pair once."""
    return matrix[torch.ones_like(matrix, dtype=torch.bool).triu(diagonal=1)]


def _normalize(kind: str, rows: Tensor) -> Tensor:
    """Rows `(N, D)` of length one."""
    lengths = torch.linalg.vector_norm(rows.float(), dim=1)
    check_finite(f"similarity of {kind}", torch.where(lengths > 1e-12, lengths, torch.nan))
    return F.normalize(rows.float(), dim=1)
