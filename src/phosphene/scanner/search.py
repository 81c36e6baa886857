"""The smallest change of a family that sends the images of other classes to a target, for many targets at once.

The size is not penalised but steered: each candidate has a radius that shrinks while enough of its images reach the
target and grows while too few do, and is projected onto it after every step. Where the radius settles is the statistic.

Source: decoupled direction and norm, Rony et al., CVPR 2019, here for one change common to many images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from phosphene.core.seeding import make_generator
from phosphene.model.classifier import Classifier
from phosphene.scanner.families import Family, Parameters
from phosphene.scanner.model_size import ModelSize
from phosphene.scanner.optimizer import descend, make_adam
from phosphene.scanner.settings import Settings
from phosphene.scanner.surrogates import SETTINGS as SURROGATE_SETTINGS
from phosphene.scanner.surrogates import Surrogates

TARGET_RATE = 0.8  # flip rate at which a radius settles
RADIUS_STEPS = (0.3, 0.05)  # change of log radius an iteration, first and last
MAX_GROWTH = 1.0  # log radius that a candidate may grow beyond its start: what needs more is out of reach
SHORTFALL_PENALTY = 2.0  # log size that a missing flip rate of 1 counts as
LATE_SHARE = 3  # the last third of the iterations is averaged
STEP_DECAY = 0.7  # share of the step size that is gone at the last iteration
SETTINGS = (*SURROGATE_SETTINGS, "images", "images_many", "pair_classes")  # what a search for all classes depends on

Draw = Callable[[int], Tensor]


@dataclass(frozen=True)
class Candidates:
    """One change a row, with the log of the radius where it settled and its flip rate there, over the last third."""

    family: Family
    parameters: Parameters
    log_size: Tensor  # (candidates,)
    flip_rate: Tensor

    @property
    def easiness(self) -> Tensor:
        """−log of the size, less a penalty where even the largest size misses the wanted flip rate."""
        return -self.log_size - SHORTFALL_PENALTY * (TARGET_RATE - self.flip_rate).clamp(min=0)

    def select(self, rows: Sequence[int]) -> Candidates:
        which = torch.tensor(rows)
        parameters = tuple(one[which] for one in self.parameters)
        return Candidates(self.family, parameters, self.log_size[which], self.flip_rate[which])

    @staticmethod
    def concatenate(parts: Sequence[Candidates]) -> Candidates:
        parameters = tuple(torch.cat(several) for several in zip(*(part.parameters for part in parts), strict=True))
        log_size, flip_rate = (torch.cat([getattr(part, name) for part in parts]) for name in ("log_size", "flip_rate"))
        return Candidates(parts[0].family, parameters, log_size, flip_rate)


def images_per_candidate(settings: Settings, classes: int) -> int:
    """Fewer for a model of many classes; over the iterations they are of more classes than with few."""
    many = min(settings.images, settings.images_many)
    return settings.images if classes <= settings.pair_classes else many


def search_classes(
    classifier: Classifier,
    family: Family,
    targets: list[int],
    surrogates: Surrogates,
    iterations: int,
    settings: Settings,
    restart: int = 0,
) -> Candidates:
    """The smallest changes of a family that send other classes to each of `targets`."""
    size = ModelSize.of(classifier)
    images = images_per_candidate(settings, size.classes)
    per_pass = max(1, size.images_per_pass // images)
    parts = []
    for first in range(0, len(targets), per_pass):
        chosen = targets[first : first + per_pass]
        names = [f"{classifier.labels[index]}/{restart}" for index in chosen]

        def draw(iteration: int, chosen: list[int] = chosen) -> Tensor:
            return surrogates.draw(chosen, images, iteration + 1000 * restart)

        candidates = minimize_size(classifier, family, names, chosen, draw, iterations=iterations, seed=settings.seed)
        parts.append(candidates)
    return Candidates.concatenate(parts)


def minimize_size(
    classifier: Classifier,
    family: Family,
    names: Sequence[str],
    targets: Sequence[int],
    draw: Draw,
    *,
    iterations: int,
    seed: int,
) -> Candidates:
    """One candidate a target; `draw(iteration)` gives its backgrounds `(candidates, n, C, H, W)`.

    `names` seed the starts, so that a candidate does not depend on what is searched beside it.
    """
    generators = [make_generator(seed, f"{family.name} {name}", 0) for name in names]
    parameters = family.start(classifier.image_shape, generators)
    log_radius = torch.full((len(targets),), family.start_radius).log()
    largest, wanted = log_radius + MAX_GROWTH, torch.tensor(targets)
    adam, sizes, rates = make_adam(parameters), [], []
    for iteration in range(iterations):
        share = iteration / max(1, iterations - 1)
        limit_size(family, parameters, log_radius)
        loss, rate = _attack_loss(classifier, family, parameters, wanted, draw(iteration))
        descend(adam, loss, step_size(family, share))
        log_radius = torch.minimum(steer_radius(log_radius, rate, TARGET_RATE, share), largest)
        sizes.append(log_radius)
        rates.append(rate)
    late = max(1, iterations // LATE_SHARE)
    log_size, flip_rate = torch.stack(sizes[-late:]).mean(dim=0), torch.stack(rates[-late:]).mean(dim=0)
    limit_size(family, parameters, log_size)
    return Candidates(family, tuple(one.detach() for one in parameters), log_size, flip_rate)


@torch.no_grad()
def limit_size(family: Family, parameters: Parameters, log_radius: Tensor) -> None:
    """Project the parameters, in place."""
    for parameter, projected in zip(parameters, family.project(parameters, log_radius.exp()), strict=True):
        parameter.copy_(projected)


def step_size(family: Family, share: float) -> float:
    """Of the iteration at `share` of all, from 0 to 1."""
    return family.step * (1 - STEP_DECAY * share)


def steer_radius(log_radius: Tensor, rate: Tensor, wanted: float, share: float) -> Tensor:
    """Smaller where the flip rate exceeds `wanted`, larger where it is below; by less as `share` goes to 1."""
    first, last = RADIUS_STEPS
    pace = first * (last / first) ** share
    return log_radius - pace * torch.where(rate > wanted, (rate - wanted) / (1 - wanted), rate / wanted - 1)


def _attack_loss(
    classifier: Classifier, family: Family, parameters: Parameters, targets: Tensor, images: Tensor
) -> tuple[Tensor, Tensor]:
    """Sum of the candidates' mean cross-entropy to their target, and the flip rate of each candidate."""
    logits = classifier(family.apply(parameters, images).flatten(0, 1))
    wanted = targets.repeat_interleave(images.shape[1])
    loss = F.cross_entropy(logits, wanted, reduction="sum") / images.shape[1]
    flips = (logits.detach().argmax(dim=1) == wanted).float().view(len(targets), -1).mean(dim=1)
    return loss, flips
