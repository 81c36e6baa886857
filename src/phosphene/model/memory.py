"""How many images of a model fit into the memory of its device."""

from __future__ import annotations

import psutil
import torch
from torch import Tensor

from phosphene.model.classifier import Classifier

MEMORY_SHARE = 0.5  # of what is free; the rest is for workspaces and the user


def fit_batch_size(classifier: Classifier) -> int:
    """The classifier's batch size, halved until layer outputs and gradients fit into the device's free memory."""

    def count_bytes(output: Tensor) -> Tensor:
        return torch.full((output.shape[0],), output[0].numel() * output.element_size())

    probe = torch.zeros(1, *classifier.image_shape)
    bytes_an_image = 2 * sum(int(sizes[0]) for sizes in classifier.observe_layers(probe, count_bytes).values())
    device = classifier.device
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
    batch_size = classifier.batch_size
    while batch_size > 1 and batch_size * bytes_an_image > MEMORY_SHARE * free:
        batch_size //= 2
    return batch_size
