"""Whether a module behaves as a classifier must, on a few images of noise; each check has a name in `model.checks`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from phosphene.core.images import ImageShape
from phosphene.errors import PhospheneError
from phosphene.model.checks import CHECKS

Forward = Callable[[Tensor], Tensor]  # images (N, C, H, W) in [0,1] → logits (N, K)


def probe_images(shape: ImageShape, count: int) -> Tensor:
    """The same `count` images of noise every time, `(count, C, H, W)` in [0,1]."""
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(0))


STEPS = (2 / 255, 16 / 255)  # two steps of 8 bits, so that rounding to them shows; many, for what rounds to few bits
MISMATCH = 10.0  # factor between what a step changes and what the gradient says, from which they do not agree


def probe(forward: Forward, shape: ImageShape, name: str) -> Tensor:
    """The outputs of the model called `name` for three images of noise. Raises `FailedCheck` where it is no
    deterministic, differentiable function of each image of this shape."""
    images = probe_images(shape, count=3).requires_grad_()
    with torch.enable_grad():
        logits = _run(forward, images, shape, name)
        _check_outputs(logits.detach(), name)
        with torch.no_grad():
            again = forward(images)
        if not torch.allclose(logits.detach(), again, rtol=1e-4, atol=1e-5, equal_nan=True):
            raise CHECKS["random-outputs"].failed(f"two calls of {name} on the same images differ")
        energy = (logits / logits.detach().abs().max().clamp(min=1e-30)).square().sum()
        gradient = torch.autograd.grad(energy, images)[0] if logits.requires_grad else torch.zeros(1)
    _check_gradient(gradient, name)
    _check_rows(forward, images.detach(), logits.detach(), name)
    return logits.detach()


def _run(forward: Forward, images: Tensor, shape: ImageShape, name: str) -> Tensor:
    try:
        return forward(images)
    except PhospheneError:
        raise
    except (Exception, SystemExit) as error:  # the user's own module may raise anything
        reason = f"{type(error).__name__}: {error}".rstrip(": ").splitlines()[0]
        raise CHECKS["wrong-input"].failed(f"{name} refuses images of shape {shape}: {reason}") from error


def _check_gradient(gradient: Tensor, name: str) -> None:
    if not gradient.isfinite().all():
        raise CHECKS["not-finite-gradient"].failed(f"{name} has finite outputs with NaN or infinite gradients")
    if not gradient.any():
        raise CHECKS["zero-gradient"].failed(f"no pixel changes any output of {name}")


def _check_rows(forward: Forward, images: Tensor, logits: Tensor, name: str) -> None:
    """The middle image in another place beside other images: its outputs must be the same."""
    others = torch.cat([images[1:2], 1 - images[:1].square(), 1 - images[2:].square()])
    with torch.no_grad():
        middle = forward(others)[0]
    if not torch.allclose(middle, logits[1], rtol=1e-3, atol=1e-4 * max(1.0, logits.abs().max().item())):
        raise CHECKS["depends-on-batch"].failed(f"the outputs of {name} for an image change with the images beside it")


def gradient_agrees(forward: Forward, shape: ImageShape) -> bool:
    """Whether a small step along the gradient of the outputs changes them about as much as the gradient says.

    A network of few bits with straight-through gradients goes down in stairs, which a small step does not meet and a
    larger one does.
    """
    images = probe_images(shape, count=3).requires_grad_()
    with torch.enable_grad():
        logits = forward(images)
        scale = logits.detach().abs().max().clamp(min=1e-30)
        (gradient,) = torch.autograd.grad((logits / scale).square().sum(), images)

    def agrees(size: float) -> bool:
        step = size * gradient.sign()
        expected = float((gradient * step).sum())
        with torch.no_grad():
            changed = float(((forward(images + step) / scale).square() - (logits / scale).square()).sum())
        return expected / MISMATCH <= changed <= expected * MISMATCH

    return any(map(agrees, STEPS))


def _check_outputs(logits: Tensor, name: str) -> None:
    if not logits.isfinite().all():
        raise CHECKS["not-finite"].failed(f"{name} gives NaN or infinite outputs")
