"""Adam, as every search of the scanner uses it: in place, with a step size of its own in each iteration."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

BETAS = (0.8, 0.95)  # shorter memory than the default: searches take tens of iterations
EPS = 1e-12  # gradients of small images are tiny, and must still move them


def make_adam(parameters: Iterable[Tensor]) -> torch.optim.Adam:
    """Over leaf tensors, which become differentiable."""
    return torch.optim.Adam([one.requires_grad_() for one in parameters], betas=BETAS, eps=EPS)


def descend(adam: torch.optim.Adam, loss: Tensor, step_size: float) -> None:
    """One step of every parameter down the gradient of `loss`; nothing else gets a gradient."""
    (group,) = adam.param_groups
    gradients = torch.autograd.grad(loss, group["params"])
    for parameter, gradient in zip(group["params"], gradients, strict=True):
        parameter.grad = gradient
    group["lr"] = step_size
    adam.step()
