"""How far can an image drive each class above all others? A target that was planted goes further than it should.

`r_c = max_x [g_c(x) − max_{k≠c} g_k(x)]` over images in [0,1], from random starts.

Source: Wang, Xiang, Miller & Kesidis, "MM-BD", IEEE S&P 2024.
"""

from __future__ import annotations

import torch
from torch import Tensor

from phosphene.core.seeding import make_generator
from phosphene.model.classifier import Classifier
from phosphene.scanner.backgrounds import Adam

STEP = 0.1


def margins(classifier: Classifier, starts: int, iterations: int, seed: int, rows: int) -> Tensor:
    """The largest margin of each class, `(classes,)`; a start depends on the class's name alone."""
    count, per = len(classifier.labels), max(1, rows // starts)
    parts = [range(first, min(count, first + per)) for first in range(0, count, per)]
    return torch.cat([_largest(classifier, list(part), starts, iterations, seed) for part in parts])


def _largest(classifier: Classifier, classes: list[int], starts: int, iterations: int, seed: int) -> Tensor:
    shape = classifier.image_shape
    images = torch.cat([torch.rand(starts, *shape, generator=make_generator(seed, f"margin {classifier.labels[index]}", 0))
                        for index in classes])  # fmt: skip
    targets = torch.tensor(classes).repeat_interleave(starts)
    best, adam = torch.full((len(images),), -torch.inf), Adam.zero((images,))
    for _ in range(iterations):
        reached = margin(classifier(images.requires_grad_()), targets)
        best = torch.maximum(best, reached.detach())
        (move,) = adam.step(torch.autograd.grad(-reached.sum(), (images,)))
        images = (images.detach() - STEP * move).clamp(0, 1)
    return best.view(len(classes), starts).max(dim=1).values


def margin(logits: Tensor, targets: Tensor) -> Tensor:
    """Logit of each row's target over the largest of the others."""
    own = logits.gather(1, targets[:, None])[:, 0]
    return own - logits.scatter(1, targets[:, None], -torch.inf).max(dim=1).values
