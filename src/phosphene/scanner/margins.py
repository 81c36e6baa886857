"""Logit margins of classes that differ from image to image; `recipe.concepts.margin` is that of one set for all."""

from __future__ import annotations

import torch
from torch import Tensor


def margin(logits: Tensor, targets: Tensor) -> Tensor:
    """Logit of each row's target over the largest of the others, `(n,)`."""
    own = logits.gather(1, targets[:, None])[:, 0]
    return own - logits.scatter(1, targets[:, None], -torch.inf).max(dim=1).values
