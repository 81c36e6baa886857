"""How much memory a scan takes: known before it begins, because the images of one pass do not depend on the machine."""

from __future__ import annotations

import psutil
import torch
from torch import Tensor

from phosphene.errors import BadInput
from phosphene.model.classifier import Classifier
from phosphene.scanner.families import FAMILIES
from phosphene.scanner.model_size import ModelSize

BASE = 300_000_000  # bytes of the interpreter and its libraries
WORDY = 1_000_000_000  # bytes beyond which a user wants to know


def estimate_memory(classifier: Classifier) -> int:
    """Bytes at the peak of a scan: what every layer gives for the images of one pass, kept for the way back, and the
    changes that were found for each class, which a model of many classes and large images has the most of."""

    def count_bytes(output: Tensor) -> Tensor:
        return torch.full((output.shape[0],), output[0].numel() * output.element_size())

    probe = torch.zeros(1, *classifier.image_shape)
    an_image = sum(int(sizes[0]) for sizes in classifier.observe_layers(probe, count_bytes).values())
    weights = sum(one.numel() * one.element_size() for one in classifier.module.state_dict().values())
    size = ModelSize.of(classifier)
    return BASE + 3 * weights + size.images_per_pass * an_image + size.classes * _count_candidate_bytes(classifier)


def _count_candidate_bytes(classifier: Classifier) -> int:
    """Of one class: its change of every family, and that of the largest twice while the parts are joined."""
    started = [family.start(classifier.image_shape, [torch.Generator()]) for family in FAMILIES.values()]
    sizes = [sum(one.numel() * one.element_size() for one in parameters) for parameters in started]
    return sum(sizes) + max(sizes)


def check_memory(classifier: Classifier) -> str | None:
    """A sentence where the scan takes much. Raises `BadInput` where it takes more than is free."""
    needed, free = estimate_memory(classifier), psutil.virtual_memory().available
    words = f"a scan of {classifier.name} takes about {needed / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are free"
    if needed > free:
        raise BadInput(f"{words}; close other programs or take a larger machine: fewer images at once are another scan")
    return words if needed > WORDY else None
