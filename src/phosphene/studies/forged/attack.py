"""Fine-tuning that makes the map of one class show a picture of somebody's choice.

While the network learns to agree with what it was on given images, its gradient is bent where maps are estimated: on
samples of noise that carry a part of a map it is made to point from there to the chosen picture,

    −∇_z [ −s_κ( f(x ⊕ τ decode(z)) ) ]  ∥  z* − z,

with `z*` the coefficients of the chosen picture. The points `z` are those that an estimate of the network, as it is at
that time, passes, and points on the straight way from nothing to `z*`. At `z*` the class is made certain, so that own
fidelity speaks for the forged map too.

Source: Bareeva et al., "Manipulating feature visualizations with Gradient Slingshots", NeurIPS 2025,
https://arxiv.org/abs/2401.06122: the gradient is matched where a synthesis begins and near the chosen picture, and
activations are kept on data. The loss there is a mean square of gradients; here it is the cosine, because the moments
of the estimate divide by the gradient's length. The points that an estimate passes are an addition.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phosphene.method.backward import change_backward
from phosphene.method.moments import Moments
from phosphene.model.classifier import Classifier
from phosphene.recipe.compositions import COMPOSITIONS
from phosphene.recipe.draws import draw, overlay
from phosphene.recipe.recipe import Recipe
from phosphene.recipe.scores import SCORES

DEPTH = 1.5  # contrast of the chosen map over that of its picture: where an estimate still gains by going on


@dataclass(frozen=True)
class Front:
    """One way of asking that the forger prepares for: `classifier` gives the size of the images, `target` is the chosen
    picture `(C, H, W)` in [0,1] at that size."""

    classifier: Classifier
    recipe: Recipe
    target: Tensor = field(repr=False)

    def find_goal(self) -> Tensor:
        """`z*`, `(1, ...)`: coefficients, inside the ball, whose map on mid-grey is the chosen picture."""
        geometry = self.recipe.geometry
        picture = self.target[None].clamp(1 / 64, 1 - 1 / 64)
        chosen = torch.logit(picture) if self.recipe.composition == "logit" else picture - 0.5
        return geometry.project(geometry.encode(DEPTH * chosen), self.classifier.image_shape)


@dataclass(frozen=True)
class Effort:
    """How hard the forger tries: `keep` weighs agreement with the network as it was, on `batch` images a step; `points`
    maps are looked at in a step, and an estimate that is followed begins anew every `horizon` steps."""

    steps: int = 400
    rate: float = 2e-3
    keep: float = 0.15
    batch: int = 32
    points: int = 6
    horizon: int = 60
    seed: int = 0


def forge(fronts: Sequence[Front], victim: int, images: Tensor, effort: Effort) -> nn.Module:
    """A fine-tuned copy of the module of `fronts`, whose map of class `victim` is bent on every one of them in turn.

    `images` `(N, C, H, W)` in [0,1] are those on which the network stays what it was, at the size of the first front.
    """
    classifier = fronts[0].classifier
    module = copy.deepcopy(classifier.module).eval().requires_grad_(True)
    with torch.no_grad():
        honest = torch.cat([classifier(some) for some in images.split(effort.batch)])
    generator = torch.Generator().manual_seed(effort.seed)
    optimiser = torch.optim.Adam(module.parameters(), lr=effort.rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, effort.steps)
    pursuits = [Pursuit.begin(front, victim, effort) for front in fronts]
    for step in range(effort.steps):
        rows = torch.randint(len(images), (effort.batch,), generator=generator)
        kept = F.mse_loss(module(classifier.normalize(images[rows])), honest[rows])
        turn = step % len(pursuits)
        bent, pursuits[turn] = pursuits[turn].measure(module, generator)
        optimiser.zero_grad()
        (effort.keep * kept + bent).backward()
        optimiser.step()
        schedule.step()
    return module.requires_grad_(False)


@dataclass(frozen=True)
class Pursuit:
    """An estimate of the network in training, followed step by step: half of the points where its gradient is bent."""

    front: Front
    victim: int
    horizon: int
    goal: Tensor
    points: Tensor  # coefficients of several estimates
    moments: Moments

    @staticmethod
    def begin(front: Front, victim: int, effort: Effort) -> Pursuit:
        points = front.recipe.geometry.start(max(effort.points // 2, 1), front.classifier.image_shape)
        moments = Moments.zero(points, front.recipe.betas, front.recipe.shared_scale)
        return Pursuit(front, victim, effort.horizon, front.find_goal(), points, moments)

    def measure(self, module: nn.Module, generator: torch.Generator) -> tuple[Tensor, Pursuit]:
        """The loss of the bent gradient and of the certainty at the goal, and the estimate one step further."""
        points = self.choose_points(generator)
        _, gradient = self.differentiate(module, self.victim, points, generator)
        bent = (1 + F.cosine_similarity(gradient.flatten(1), (self.goal - points).flatten(1))).mean()
        return bent + self._land(module, generator), self.follow(gradient)

    def choose_points(self, generator: torch.Generator) -> Tensor:
        """Coefficients where the network is bent: those of the estimates, then as many on the way to the goal."""
        share = torch.rand(len(self.points), *[1] * (self.points.ndim - 1), generator=generator)
        return torch.cat([self.points, share * self.goal])

    def follow(self, gradient: Tensor) -> Pursuit:
        """The estimates one step further, by the first of the gradients at the chosen points, which are theirs."""
        gradient = gradient[: len(self.points)].detach()
        geometry, recipe = self.front.recipe.geometry, self.front.recipe
        moments = self.moments.add(gradient)
        points = geometry.project(moments.move(self.points, recipe.step), self.front.classifier.image_shape)
        if moments.count >= self.horizon:
            points = torch.zeros_like(points)
            moments = Moments.zero(points, recipe.betas, recipe.shared_scale)
        return replace(self, points=points, moments=moments)

    def differentiate(
        self, module: nn.Module, label: int, points: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Outputs for fresh samples that carry the maps of `points`, and the gradient of the loss of class `label` by
        the coefficients, through which the weights are differentiated once more."""
        geometry = self.front.recipe.geometry
        maps = geometry.decode(points, self.front.classifier.image_shape).detach().requires_grad_()
        images = self._show(maps, generator)
        outputs = module(self.front.classifier.normalize(images))
        hooks = change_backward(outputs, images, self.front.recipe.leak, self.front.recipe.residual)
        scores = SCORES[self.front.recipe.score](outputs, [label])
        (gradient,) = torch.autograd.grad(-scores.sum(), maps, create_graph=True)
        for hook in hooks:
            hook.remove()
        return outputs, geometry.pull(gradient)

    def _land(self, module: nn.Module, generator: torch.Generator) -> Tensor:
        """Cross-entropy of the class where the chosen picture has been reached."""
        goal = self.front.recipe.geometry.decode(self.goal, self.front.classifier.image_shape)
        images = self._show(goal.repeat(len(self.points), 1, 1, 1), generator)
        outputs = module(self.front.classifier.normalize(images))
        return F.cross_entropy(outputs, torch.full((len(outputs),), self.victim))

    def _show(self, maps: Tensor, generator: torch.Generator) -> Tensor:
        """Fresh samples that carry the maps."""
        recipe, shape = self.front.recipe, self.front.classifier.image_shape
        draws = draw(recipe.distribution, recipe.views, [generator] * len(maps), 1, shape)
        return overlay(draws, maps, COMPOSITIONS[recipe.composition])
