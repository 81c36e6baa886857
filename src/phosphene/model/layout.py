"""How the tensor that a layer gives lies: where its images are, and where its channels."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """Which dimension holds the images, how many rows of it each image has, and which dimension holds the channels.

    Attention windows and frames lie as several rows of one image, either one after the other or, where they are
    `interleaved`, the first of all images before the second of all. Dimensions count from 0. `calls` is how often the
    layer runs in one forward; the layout is of the last time.
    """

    images: int
    rows: int
    interleaved: bool
    channels: int
    calls: int = 1

    def arrange(self, output: Tensor) -> Tensor:
        """`(N, C, *positions)` from what the layer gave; rows of one image become its first position."""
        if (self.images, self.rows, self.channels) == (0, 1, 1):
            return output
        features = output.movedim((self.images, self.channels), (0, 1))
        if self.rows == 1:
            return features
        count = features.shape[0] // self.rows
        if self.interleaved:
            features = features.unflatten(0, (self.rows, count)).transpose(0, 1)
        else:
            features = features.unflatten(0, (count, self.rows))
        return features.transpose(1, 2)


@dataclass(frozen=True)
class Unclear:
    """No layout is certain, and why."""

    reason: str
