"""How alike two maps are, in two ways of seeing that do not ask for the same pixels in the same places.

- `features`: cosine of the penultimate features that a model, by preference a verifier, has of the bare pictures.
- `spectrum`: correlation of the pictures' spectral magnitudes, whitened by |f| and pooled into rings and directions
  of the frequency plane: texture and orientation, wherever they are.

Pixel cosine would call two maps of one class different because the object stands elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from phosphene.evidence.layers import fed_to, layers_from_the_top
from phosphene.evidence.soundness import sound
from phosphene.method.recognition import resize_pictures
from phosphene.model.classifier import Classifier

RINGS, DIRECTIONS = 8, 12
WAYS = ("features", "spectrum")


@dataclass(frozen=True)
class Looks:
    """How pictures look: each way of seeing as unit rows `(pictures, anything)`, so that a product is a similarity.

    Of several eyes the features stand side by side: their product is the mean of the eyes' cosines.
    """

    rows: dict[str, Tensor]

    def to(self, others: Looks) -> dict[str, Tensor]:
        """Similarity of each picture to each of `others`, `(pictures, others)`, by way of seeing."""
        return {way: (rows @ others.rows[way].T).clamp(-1, 1) for way, rows in self.rows.items()}

    @staticmethod
    def joined(parts: Sequence[Looks]) -> Looks:
        return Looks({way: torch.cat([part.rows[way] for part in parts]) for way in WAYS})


def looks(pictures: Tensor, eyes: Sequence[Classifier]) -> Looks:
    """How bare pictures `(N, C, H, W)` in [0,1] look to the eyes and in frequency."""
    seen = [_unit("features", features(eye, resize_pictures(pictures, eye))) / math.sqrt(len(eyes)) for eye in eyes]
    pooled = spectrum(pictures)
    return Looks({"features": torch.cat(seen, dim=1),
                  "spectrum": _unit("spectrum", pooled - pooled.mean(dim=1, keepdim=True))})  # fmt: skip


def features(eye: Classifier, pictures: Tensor) -> Tensor:
    """What the eye's last layer is fed, `(N, D)`; of a model of a single layer the logits."""
    head, *others = layers_from_the_top(eye)
    if others:
        return fed_to(eye, head, pictures)
    with torch.no_grad():
        return eye(pictures).cpu()


def spectrum(pictures: Tensor) -> Tensor:
    """Mean whitened magnitude in each ring and direction of each channel, `(N, C·rings·directions)`."""
    height, width = pictures.shape[2:]
    vertical, horizontal = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None, :]
    radius = (vertical.square() + horizontal.square()).sqrt()
    lowest = 1.0 / max(height, width)
    octave = (radius / lowest).clamp(min=1.0).log2() / math.log2(0.75 / lowest) * RINGS
    direction = (torch.atan2(vertical.expand_as(radius), horizontal.expand_as(radius)) / math.pi + 0.5) * DIRECTIONS
    cell = octave.long().clamp(max=RINGS - 1) * DIRECTIONS + direction.long().clamp(max=DIRECTIONS - 1)
    magnitude = (torch.fft.rfft2(pictures.cpu(), norm="ortho").abs() * radius).flatten(2)
    sums = torch.zeros(*magnitude.shape[:2], RINGS * DIRECTIONS).index_add_(2, cell.flatten(), magnitude)
    return (sums / torch.bincount(cell.flatten(), minlength=RINGS * DIRECTIONS).clamp(min=1)).flatten(1)


def different_pairs(matrix: Tensor) -> Tensor:
    """The entries of a symmetric matrix that compare two different maps, each pair once."""
    return matrix[torch.ones_like(matrix, dtype=torch.bool).triu(diagonal=1)]


def _unit(way: str, rows: Tensor) -> Tensor:
    """Rows of length one; a picture without anything to compare has no direction, and is refused."""
    lengths = torch.linalg.vector_norm(rows.float(), dim=1)
    sound(f"similarity of {way}", torch.where(lengths > 1e-12, lengths, torch.nan))
    return F.normalize(rows.float(), dim=1)
