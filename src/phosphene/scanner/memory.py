"""How much memory a scan takes: known before it begins, because the images of one pass do not depend on the machine."""

from __future__ import annotations

import psutil
import torch
from torch import Tensor

from phosphene.errors import BadInput
from phosphene.model.classifier import Classifier
from phosphene.scanner.model_size import ModelSize

BASE = 300_000_000  # bytes of the interpreter and its libraries
WORDY = 1_000_000_000  # bytes beyond which a user wants to know


def estimate_memory(classifier: Classifier) -> int:
    """Bytes at the peak of a scan: what every layer gives for the images of one pass, kept for the way back."""

    def count_bytes(output: Tensor) -> Tensor:
        return torch.full((output.shape[0],), output[0].numel() * output.element_size())

    probe = torch.zeros(1, *classifier.image_shape)
    an_image = sum(int(sizes[0]) for sizes in classifier.observe_layers(probe, count_bytes).values())
    weights = sum(one.numel() * one.element_size() for one in classifier.module.state_dict().values())
    return BASE + 3 * weights + ModelSize.of(classifier).images_per_pass * an_image


def check_memory(classifier: Classifier) -> str | None:
    """A sentence where the scan takes much. Raises `BadInput` where it takes more than is free."""
    needed, free = estimate_memory(classifier), psutil.virtual_memory().available
    words = f"a scan of {classifier.name} takes about {needed / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are free"
    if needed > free:
        raise BadInput(f"{words}; close other programs or take a larger machine: fewer images at once are another scan")
    return words if needed > WORDY else None
