"""Scores: what of a model's outputs a class, or a set of classes of which any will do, is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from phosphene.errors import BadInput


def logit(outputs: Tensor, indices: Sequence[int]) -> Tensor:
    """The bare logit; of a set, the log-sum-exp. Its maps are recognised by more other models than the others' are."""
    return outputs[:, list(indices)].logsumexp(dim=1)


def log_probability(outputs: Tensor, indices: Sequence[int]) -> Tensor:
    """Log of the softmax probability: minus the cross-entropy, the paper's score."""
    return logit(outputs, indices) - outputs.logsumexp(dim=1)


def half_margin(outputs: Tensor, indices: Sequence[int]) -> Tensor:
    """The logit, less half the log-sum-exp of all other logits: what the class has, more than what its likes share.

    Of a set of all outputs the bare logit, for there is nothing else to tell it from.
    """
    others = outputs[:, _outside(outputs, indices)]
    return logit(outputs, indices) - 0.5 * others.logsumexp(dim=1) if others.shape[1] else logit(outputs, indices)


def margin(outputs: Tensor, indices: Sequence[int]) -> Tensor:
    """The logit over the best of all other logits."""
    others = _outside(outputs, indices)
    if not others.any():
        raise BadInput("margin needs an output outside the set; got a set of all outputs, use the logit score")
    return logit(outputs, indices) - outputs[:, others].amax(dim=1)


def _outside(outputs: Tensor, indices: Sequence[int]) -> Tensor:
    """Which outputs `(classes,)` are not among `indices`."""
    others = torch.ones(outputs.shape[1], dtype=torch.bool, device=outputs.device)
    others[list(indices)] = False
    return others


Score = Callable[[Tensor, Sequence[int]], Tensor]
SCORES: dict[str, Score] = {
    "logit": logit,
    "half_margin": half_margin,
    "log_probability": log_probability,
    "margin": margin,
}
