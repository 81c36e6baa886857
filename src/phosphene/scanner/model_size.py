"""What the cost of a stage depends on beside its settings."""

from __future__ import annotations

import math
from dataclasses import dataclass

from phosphene.core.images import ImageShape
from phosphene.model.classifier import Classifier

PIXELS_PER_PASS = 4_000_000  # of all images in one forward and backward pass
MIN_IMAGES, MAX_IMAGES = 8, 800
MAX_BACKGROUND_CLASSES = 48
FORWARD_SHARE = 3  # a forward pass alone costs a third of one forward and backward


@dataclass(frozen=True)
class ModelSize:
    """Number of classes, and shape `(C, H, W)` of an image."""

    classes: int
    image_shape: ImageShape

    @staticmethod
    def of(classifier: Classifier) -> ModelSize:
        return ModelSize(len(classifier.labels), classifier.image_shape)

    @property
    def images_per_pass(self) -> int:
        """From the size of an image, never from the machine, so that a scan is repeatable."""
        return max(MIN_IMAGES, min(MAX_IMAGES, PIXELS_PER_PASS // math.prod(self.image_shape)))

    @property
    def background_classes(self) -> int:
        """Classes that have surrogate images."""
        return min(self.classes, MAX_BACKGROUND_CLASSES)


def forward_cost(images: int) -> int:
    """Images that go forward alone, as an equal number of forward and backward passes."""
    return images // FORWARD_SHARE
