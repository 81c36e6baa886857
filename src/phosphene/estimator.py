"""The method: draw, nudge, accumulate, project, until a map of the concept stands.

    for progress in estimate(classifier, [concept], PRESETS["default"]):
        ...
    saliency = progress.maps()

Each iteration draws samples `x_k ~ D` and views `τ_k ~ T`, nudges them towards the concept,

    g_k = ∇_m [ −s_κ( f(x_k ⊕ τ_k m) ) ],

accumulates the mean of `g_k` into bias-corrected moments (∫), steps along their ratio, and projects the map onto the
ball of the geometry (Ψ). Nothing but the model's gradients enters the map, which starts at zero.

Source: N. Akhtar, M. A. A. K. Jalwana, "Rethinking interpretation: input-agnostic saliency mapping of deep visual
classifiers", AAAI 2023, https://arxiv.org/abs/2303.17836, figure 2; docs/method.md names each step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from phosphene.classifier import Classifier
from phosphene.coarse import SEEN, at_size, share_of_pixels, stages
from phosphene.concepts import Concept
from phosphene.fidelity import fidelity
from phosphene.geometry import ImageShape
from phosphene.reading import read
from phosphene.recipe import SCHEDULES, Recipe
from phosphene.sampling import COMPOSITIONS, Draws, draw, seeded, shown


@dataclass(frozen=True)
class Accumulator:
    """Exponential moments of a sequence of gradients: a monoid, so that blocks may be accumulated anywhere.

    `first` and `second` are the decayed sums `(1−β) Σ β^(n−i) g_i` and the same of `g_i²`; `zero` is the neutral
    element, `merge` puts a later block behind this one, and `mean` corrects the bias of having started from nothing.
    """

    first: Tensor
    second: Tensor
    count: int
    decay: tuple[float, float]

    @staticmethod
    def zero(like: Tensor, decay: tuple[float, float] = (0.9, 0.999)) -> Accumulator:
        return Accumulator(torch.zeros_like(like), torch.zeros_like(like), 0, decay)

    def add(self, gradient: Tensor) -> Accumulator:
        fast, slow = self.decay
        first = torch.lerp(self.first, gradient, 1 - fast)
        second = (self.second * slow).addcmul_(gradient, gradient, value=1 - slow)
        return replace(self, first=first, second=second, count=self.count + 1)

    def merge(self, later: Accumulator) -> Accumulator:
        fast, slow = (beta**later.count for beta in self.decay)
        first, second = later.first + fast * self.first, later.second + slow * self.second
        return replace(self, first=first, second=second, count=self.count + later.count)

    def mean(self) -> Tensor:
        """Bias-corrected first moment."""
        return self.first / (1 - self.decay[0] ** self.count)

    def direction(self, shared: bool = False) -> Tensor:
        """Bias-corrected first moment over the root of the second: the nudge in units of its own scatter.

        `shared` takes one scatter for a whole map, so that the direction stays that of the gradient itself.
        """
        return self.descended(torch.zeros_like(self.first), -1.0, shared)

    def descended(self, point: Tensor, step: float, shared: bool = False) -> Tensor:
        """`point − step · direction`, in as few passes over the numbers as there can be."""
        fast, slow = (1 - beta**self.count for beta in self.decay)
        second = self.second
        if shared:
            second = second.flatten(1).mean(dim=1).view(-1, *[1] * (second.ndim - 1))
        scatter = second.sqrt().add_(1e-12)
        return torch.addcdiv(point, self.first, scatter, value=-step * slow**0.5 / fast)


@dataclass(frozen=True)
class Trail:
    """Mean of the points passed from iteration `start` on; before that, the latest point.

    Single steps follow the views of the moment; their mean keeps what all views agree on, and stays on the ball.
    """

    start: int
    mean: Tensor
    count: int = 0

    def add(self, iteration: int, point: Tensor) -> Trail:
        if iteration < self.start:
            return replace(self, mean=point)
        mean = torch.lerp(self.mean, point, 1 / (self.count + 1)) if self.count else point
        return replace(self, mean=mean, count=self.count + 1)


@dataclass(frozen=True)
class Progress:
    """One iteration done: the mean score of each concept before its step, and the map so far on request."""

    iteration: int
    scores: Tensor  # (concepts,)
    passes: Tensor  # (concepts,), forward and backward, one of fewer pixels counted by its share of them
    coefficients: Tensor
    decode: Callable[[Tensor], Tensor]

    def maps(self) -> Tensor:
        """The signed maps so far, float32 `(concepts, C, H, W)`, inside the geometry's ball."""
        return self.decode(self.coefficients)


def estimate(
    classifier: Classifier, concepts: Sequence[Concept], recipe: Recipe, refine: Refine | None = None
) -> Iterator[Progress]:
    """Nudge samples of `recipe.distribution` towards each concept and accumulate the gradients into one map a concept.

    Yields a `Progress` an iteration; the last one carries the finished maps. `refine`, where given, is applied to the
    coefficients every `recipe.refine_every` iterations of full size. A coarse stage made anew shows in `passes` alone.
    """
    maps, passes = None, torch.zeros(len(concepts))
    with classifier.frozen():
        for model, iterations in stages(classifier, concepts, recipe):
            stage = partial(_stage, concepts=concepts, recipe=recipe, iterations=iterations)
            for progress in stage(model, start=maps, refine=refine if model is classifier else None):
                spent = passes + progress.passes * share_of_pixels(model, classifier)
                enlarged = partial(_enlarged, progress.decode, classifier.image_shape)
                yield replace(progress, passes=spent, decode=enlarged)
            if model is not classifier:
                maps, more = _made_anew(classifier, model, concepts, recipe, progress.maps(), iterations)
                passes = spent + more


def _stage(
    classifier: Classifier,
    concepts: Sequence[Concept],
    recipe: Recipe,
    iterations: range,
    start: Tensor | None = None,
    refine: Refine | None = None,
) -> Iterator[Progress]:
    """Iterations at one size, with moments of their own, from nothing or from the maps `start`."""
    geometry, schedule, shape = recipe.geometry, SCHEDULES[recipe.schedule], classifier.image_shape
    nudged = nudge if recipe.nudge_steps == 1 else walk
    project = partial(geometry.project, shape=shape)
    refined = _every(recipe.refine_every, refine, project)
    coefficients = (
        geometry.start(len(concepts), shape).to(classifier.device) if start is None
        else project(geometry.encode(start))
    )  # fmt: skip
    moments = Accumulator.zero(coefficients, recipe.moments)
    trail = Trail(recipe.iterations - max(1, round(recipe.averaged * recipe.iterations)), coefficients)
    for iteration in iterations:
        generators = [seeded(recipe.seed, concept.name, iteration) for concept in concepts]
        draws = draw(recipe.distribution, recipe.views, generators, recipe.samples, shape)
        gradient, scores = nudged(classifier, concepts, coefficients, draws, recipe)
        moments = moments.add(gradient)
        step = recipe.step * schedule(iteration / recipe.iterations)
        coefficients = project(moments.descended(coefficients, step, recipe.shared_scatter))
        coefficients = refined(iteration, coefficients)
        trail = trail.add(iteration, coefficients)
        passes = torch.full((len(concepts),), float(moments.count * recipe.samples * recipe.nudge_steps))
        yield Progress(iteration, scores, passes, trail.mean, partial(geometry.decode, shape=shape))


def _made_anew(
    classifier: Classifier,
    half: Classifier,
    concepts: Sequence[Concept],
    recipe: Recipe,
    coarse: Tensor,
    iterations: range,
) -> tuple[Tensor, Tensor]:
    """The coarse maps enlarged or, where `half` does not see its concept, made anew at full size; passes of that."""
    maps, passes = at_size(coarse, classifier.image_shape), torch.zeros(len(concepts))
    alone = classifier.with_rows(recipe.samples)
    for row, concept in enumerate(concepts):
        if fidelity(half, concept, coarse[row], recipe).probability < SEEN:
            *_, last = _stage(alone, [concept], recipe, iterations)
            maps[row], passes[row] = last.maps()[0], last.passes[0]
    return maps, passes


def _enlarged(decode: Callable[[Tensor], Tensor], shape: ImageShape, coefficients: Tensor) -> Tensor:
    return at_size(decode(coefficients), shape)


Refine = Callable[[Tensor], Tensor]
Nudge = Callable[[Classifier, Sequence[Concept], Tensor, Draws, Recipe], tuple[Tensor, Tensor]]


def nudge(
    classifier: Classifier, concepts: Sequence[Concept], coefficients: Tensor, draws: Draws, recipe: Recipe
) -> tuple[Tensor, Tensor]:
    """Mean over the samples of `g_k`, shaped as the coefficients, and the mean score of each concept."""
    maps = recipe.geometry.decode(coefficients, classifier.image_shape).detach().requires_grad_()
    with torch.enable_grad():
        rows = read(classifier, shown(draws, maps, COMPOSITIONS[recipe.composition]), concepts)
        scores = torch.stack([concept.score(row).mean() for concept, row in zip(concepts, rows, strict=True)])
        (gradient,) = torch.autograd.grad(-scores.sum(), maps)
    return recipe.geometry.pull(gradient), scores.detach()


def walk(
    classifier: Classifier, concepts: Sequence[Concept], coefficients: Tensor, draws: Draws, recipe: Recipe
) -> tuple[Tensor, Tensor]:
    """Each data point walks `nudge_steps` normalised descent steps of its own; its displacement is what counts.

    Returns minus the mean displacement, so that it is accumulated like a gradient, and the scores before the walk.
    """
    owners = [concept for concept in concepts for _ in range(draws.count)]
    alone = replace(draws, count=1)
    origin = coefficients.repeat_interleave(draws.count, dim=0)
    points, first_scores = origin, None
    for _ in range(recipe.nudge_steps):
        gradient, scores = nudge(classifier, owners, points, alone, recipe)
        first_scores = scores if first_scores is None else first_scores
        length = recipe.geometry.norm(gradient, classifier.image_shape).clamp(min=1e-30)
        points = points - recipe.step * gradient / length.view(-1, *[1] * (gradient.ndim - 1))
    displacement = (points - origin).unflatten(0, (len(concepts), draws.count)).mean(dim=1)
    assert first_scores is not None  # nudge_steps ≥ 2 here
    return -displacement, first_scores.unflatten(0, (len(concepts), draws.count)).mean(dim=1)


def _every(period: int, refine: Refine | None, project: Refine) -> Callable[[int, Tensor], Tensor]:
    """Refinement in every `period`-th iteration, projected again: masking may lengthen a map in its geometry."""
    if refine is None or period == 0:
        return lambda iteration, coefficients: coefficients
    return lambda iteration, coefficients: (
        project(refine(coefficients)) if (iteration + 1) % period == 0 else coefficients
    )
