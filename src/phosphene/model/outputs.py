"""What outputs of a model mean: which tensor holds the logits, how probable a concept is, whether it is on top."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from phosphene.model.checks import CHECKS
from phosphene.recipe.concepts import Concept, layer_of

ACTIVE = 3.09  # the 99.9th percentile of a normal distribution: one draw of noise in a thousand is above it


def find_logits(output: object) -> Tensor:
    """Logits from what models return: a tensor, an object or mapping with `logits`, a tuple that starts with them.

    Raises `FailedCheck` where there is no such tensor.
    """
    if isinstance(output, Mapping) and "logits" in output:
        output = output["logits"]
    elif hasattr(output, "logits"):
        output = output.logits
    elif isinstance(output, (tuple, list)) and output:
        output = output[0]
    if not isinstance(output, Tensor):
        raise CHECKS["wrong-output"].failed(f"the model returns a {type(output).__name__}, not a tensor of logits")
    return output


def probability(outputs: Tensor, concept: Concept) -> Tensor:
    """Probability that the model gives to the concept's targets, `(samples,)` in [0,1].

    Channels have none; of them it is 1 where a target is above what noise without a map gives, once in a thousand.
    """
    targets = list(concept.targets)
    if layer_of(concept) is not None:
        return (outputs[:, targets].amax(dim=1) > ACTIVE).float()
    return outputs.softmax(dim=1)[:, targets].sum(dim=1)


def is_top(outputs: Tensor, concept: Concept) -> Tensor:
    """Whether a target is the strongest output, `(samples,)` of 0 and 1."""
    return torch.isin(outputs.argmax(dim=1), torch.tensor(concept.targets, device=outputs.device)).float()
