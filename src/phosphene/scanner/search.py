"""The smallest change of a family that sends the images of other classes to a target, for many targets at once.

The size is not penalised but steered: each candidate has a radius that shrinks while enough of its images arrive and
grows while too few do, and is projected onto it after every step. Where the radius settles is the statistic.

Source: decoupled direction and norm, Rony et al., CVPR 2019, here for one change common to many images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from phosphene.core.seeding import make_generator
from phosphene.model.classifier import Classifier
from phosphene.scanner.backgrounds import Adam
from phosphene.scanner.families import Family, Parameters

WANTED = 0.8  # flip rate at which a radius settles
PACE = (0.3, 0.05)  # change of log radius an iteration, first and last
ROOM = 1.0  # log radius that a candidate may grow beyond its start: what does not arrive then is out of reach
SHORTFALL = 2.0  # log size that a missing flip rate of 1 counts as


@dataclass(frozen=True)
class Found:
    """Candidates with the log of the radius where each settled and the flip rate there, over the last third."""

    family: Family
    parameters: Parameters
    log_size: Tensor  # (candidates,)
    flip_rate: Tensor

    @property
    def easiness(self) -> Tensor:
        """−log of the size, less what is missing to the wanted flip rate where the largest size does not do either."""
        return -self.log_size - SHORTFALL * (WANTED - self.flip_rate).clamp(min=0)

    def rows(self, which: Tensor) -> Found:
        return Found(
            self.family, tuple(one[which] for one in self.parameters), self.log_size[which], self.flip_rate[which]
        )


def smallest(
    classifier: Classifier,
    family: Family,
    names: list[str],
    targets: Tensor,
    draw: Callable[[int], Tensor],
    *,
    iterations: int,
    seed: int,
) -> Found:
    """One candidate a target; `draw(iteration)` gives its backgrounds `(candidates, n, C, H, W)`.

    `names` seed the starts, so that a candidate does not depend on its company.
    """
    shape = classifier.image_shape
    generators = [make_generator(seed, f"{family.name} {name}", 0) for name in names]
    parameters = family.start(shape, generators)
    log_radius = torch.full((len(targets),), family.start_radius).log()
    largest = log_radius + ROOM
    adam = Adam.zero(parameters)
    sizes, rates = [], []
    for iteration in range(iterations):
        share = iteration / max(1, iterations - 1)
        parameters = family.project(parameters, log_radius.exp())
        slopes, rate = _slopes(classifier, family, parameters, targets, draw(iteration))
        moves = adam.step(slopes)
        size = family.step * (1 - 0.7 * share)
        parameters = tuple(one - size * move for one, move in zip(parameters, moves, strict=True))
        log_radius = steered(log_radius, rate, WANTED, share)
        log_radius = torch.minimum(log_radius, largest)
        sizes.append(log_radius)
        rates.append(rate)
    late = max(1, iterations // 3)
    log_size, flips = torch.stack(sizes[-late:]).mean(dim=0), torch.stack(rates[-late:]).mean(dim=0)
    return Found(family, family.project(parameters, log_size.exp()), log_size, flips)


def steered(log_radius: Tensor, rate: Tensor, wanted: float, share: float) -> Tensor:
    """Smaller where more than `wanted` has arrived, larger where less; ever more gently as `share` goes to 1."""
    pace = PACE[0] * (PACE[1] / PACE[0]) ** share
    return log_radius - pace * torch.where(rate > wanted, (rate - wanted) / (1 - wanted), rate / wanted - 1)


def _slopes(
    classifier: Classifier, family: Family, parameters: Parameters, targets: Tensor, images: Tensor
) -> tuple[tuple[Tensor, ...], Tensor]:
    """Gradient of the mean cross-entropy to the target by each parameter, and the flip rate of each candidate."""
    leaves = tuple(one.detach().requires_grad_() for one in parameters)
    logits = classifier(family.apply(leaves, images).flatten(0, 1))
    wanted = targets.repeat_interleave(images.shape[1])
    loss = F.cross_entropy(logits, wanted, reduction="sum") / images.shape[1]
    flips = (logits.detach().argmax(dim=1) == wanted).float().view(len(targets), -1).mean(dim=1)
    return torch.autograd.grad(loss, leaves), flips
