"""How similar pictures are to the features of other models; the only module of the studies that knows how."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from phosphene.evidence.similarity import embed
from phosphene.model.classifier import Classifier


def compare_features(first: Tensor, second: Tensor, feature_extractors: Sequence[Classifier]) -> Tensor:
    """Cosine of penultimate features of pictures `(N, C, H, W)` and `(M, C, H, W)`, mean over extractors: `(N, M)`."""
    return embed(first, feature_extractors).compare(embed(second, feature_extractors))["features"]


def split_by_concept(matrix: Tensor) -> dict[str, list[float]]:
    """Similarities `(N, N)` of each picture to that of the same concept, and on average to those of the others."""
    same = matrix.diagonal()
    different = (matrix.sum(dim=1) - same) / max(len(same) - 1, 1)
    return {"same": same.tolist(), "different": different.tolist()}


def list_pairs(matrix: Tensor) -> list[float]:
    """The entries of a symmetric matrix above its diagonal."""
    pairs = torch.ones_like(matrix, dtype=torch.bool).triu(diagonal=1)
    return matrix[pairs].tolist()
