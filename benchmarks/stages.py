"""An estimate in stages, with more slots than a recipe has: what `benchmarks.recipes` tries before the package gets it.

With the slots of a recipe alone it makes what `phosphene.estimate` makes, but for the look at half the size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from phosphene.core.seeding import make_generator
from phosphene.method.backward import change_backward
from phosphene.method.moments import Moments, TailMean
from phosphene.method.total_variation import add_total_variation
from phosphene.model.classifier import Classifier
from phosphene.model.readout import read
from phosphene.recipe.concepts import Concept
from phosphene.recipe.distributions import Distribution, Grey
from phosphene.recipe.draws import draw
from phosphene.recipe.geometries import Spectral
from phosphene.recipe.views import Views, place

Change = Callable[[Tensor, Generator], Tensor]  # placed maps → placed maps


@dataclass(frozen=True)
class Stage:
    """So many iterations at one size; `looks` are the sizes that the images are shown at, in turns."""

    size: int
    iterations: int
    geometry: Spectral = Spectral(gain=0.12, falloff=1.3, colour=(0.3, 0.15))
    against: float = 0.0  # how much of the log-sum-exp of all other logits is taken from the class's own
    views: Views = Views()
    distribution: Distribution = Grey()
    step: float | Callable[[float], float] = 0.2  # or what it is at a share of the stage
    betas: tuple[float, float] = (0.9, 0.99)
    shared_scale: bool = False
    leak: float = 0.0
    residual: float = 1.0
    total_variation: tuple[float, float] = (0.0, 0.0)  # at the beginning and the end of the stage
    average_last: float = 0.5
    looks: tuple[int, ...] = ()
    changes: tuple[Change, ...] = ()
    window: Callable[[int], Tensor] | None = field(default=None)

    def variation_at(self, progress: float) -> float:
        first, last = self.total_variation
        return first + (last - first) * progress

    def step_at(self, progress: float) -> float:
        return self.step(progress) if callable(self.step) else self.step


def estimate_stages(
    classifier: Classifier, concepts: Sequence[Concept], stages: Sequence[Stage], seed: int = 0
) -> tuple[Tensor, float]:
    """Maps `(N, C, H, W)` and passes a map, one of fewer pixels counted by its share of them."""
    maps, passes, done = None, 0.0, 0
    for stage in stages:
        maps, spent = run_stage(classifier, concepts, stage, maps, seed, done)
        passes, done = passes + spent, done + stage.iterations
    assert maps is not None
    return maps, passes


def run_stage(
    classifier: Classifier, concepts: Sequence[Concept], stage: Stage, start: Tensor | None, seed: int, done: int
) -> tuple[Tensor, float]:
    """The maps that a stage makes of the maps before it, and its passes."""
    shape, geometry, passes = (classifier.image_shape[0], stage.size, stage.size), stage.geometry, 0.0
    coefficients = _begin(geometry, start, len(concepts), shape)
    moments = Moments.zero(coefficients, stage.betas, stage.shared_scale)
    tail = TailMean(stage.iterations - max(1, round(stage.average_last * stage.iterations)), coefficients)
    looks = stage.looks or (stage.size,)
    for iteration in range(stage.iterations):
        generators = [make_generator(seed, concept.name, done + iteration, 0) for concept in concepts]
        maps = geometry.decode(coefficients, shape).detach().requires_grad_()
        look = looks[iteration % len(looks)]
        images = _show(maps, stage, generators, shape, look)
        scores = _score(read(at_size(classifier, look), images, concepts), concepts, stage.against)
        change_backward(scores, images, stage.leak, stage.residual)
        (gradient,) = torch.autograd.grad(-scores.sum(), maps)
        gradient = add_total_variation(gradient, maps.detach(), stage.variation_at(iteration / stage.iterations))
        moments = moments.add(geometry.pull(gradient))
        moved = moments.move(coefficients, stage.step_at(iteration / stage.iterations))
        coefficients = geometry.project(moved, shape)
        tail = tail.add(iteration, coefficients)
        passes += (look / classifier.image_shape[1]) ** 2
    made = geometry.decode(tail.mean, shape).detach()
    return (made if stage.window is None else made * stage.window(stage.size)), passes


def at_size(classifier: Classifier, side: int) -> Classifier:
    """The classifier on images of another side."""
    if side == classifier.image_shape[1]:
        return classifier
    resized: Classifier = classifier.cache.get(("side", side), lambda: classifier.resize((side, side)))
    return resized


def _begin(geometry: Spectral, start: Tensor | None, count: int, shape: tuple[int, int, int]) -> Tensor:
    if start is None:
        return geometry.start(count, shape)
    if start.shape[-1] != shape[-1]:
        start = F.interpolate(start, size=shape[1:], mode="bicubic", align_corners=False)
    return geometry.project(geometry.encode(start), shape)


def _show(
    maps: Tensor, stage: Stage, generators: Sequence[Generator], shape: tuple[int, int, int], look: int
) -> Tensor:
    """The maps in their views on samples, as the network is shown them."""
    draws = draw(stage.distribution, stage.views, generators, 1, shape)
    windowed = maps if stage.window is None else maps * stage.window(stage.size)
    placed = place(windowed, draws.views)
    for change in stage.changes:
        placed = change(placed, generators[0])
    images = torch.sigmoid(torch.logit(draws.samples, eps=1 / 256) + placed)
    if look == stage.size:
        return images
    return F.interpolate(images, size=(look, look), mode="bilinear", antialias=True)


def _score(rows: Sequence[Tensor], concepts: Sequence[Concept], against: float) -> Tensor:
    outputs = torch.cat(list(rows))
    targets = torch.tensor([concept.targets[0] for concept in concepts])
    own = outputs[range(len(targets)), targets]
    if not against:
        return own
    others = outputs.scatter(1, targets[:, None], -1e9)
    return own - against * others.logsumexp(dim=1)


def blur(sigma: float) -> Change:
    """A Gaussian blur of random width up to `sigma` pixels, another one for each map."""

    def change(maps: Tensor, generator: Generator) -> Tensor:
        return torch.cat([_blur(one[None], float(torch.rand(1, generator=generator)) * sigma) for one in maps])

    return change


def _blur(maps: Tensor, sigma: float) -> Tensor:
    if sigma < 0.3:
        return maps
    reach = max(1, int(3 * sigma))
    kernel = torch.exp(-(torch.arange(-reach, reach + 1).float() ** 2) / (2 * sigma * sigma))
    kernel = kernel / kernel.sum()
    planes = F.conv2d(maps.transpose(0, 1), kernel.view(1, 1, 1, -1), padding=(0, reach))
    return F.conv2d(planes, kernel.view(1, 1, -1, 1), padding=(reach, 0)).transpose(0, 1)


def saturate(low: float, high: float) -> Change:
    """Colours by a random factor."""

    def change(maps: Tensor, generator: Generator) -> Tensor:
        factor = low + (high - low) * torch.rand(len(maps), 1, 1, 1, generator=generator)
        mean = maps.mean(dim=1, keepdim=True)
        return mean + (maps - mean) * factor

    return change


def mix_colours(amount: float) -> Change:
    """Colours by a random matrix near the identity whose rows add up to 1."""

    def change(maps: Tensor, generator: Generator) -> Tensor:
        matrix = torch.eye(3) + amount * torch.randn(len(maps), 3, 3, generator=generator)
        return torch.einsum("ncd,ndhw->nchw", matrix / matrix.sum(dim=2, keepdim=True), maps)

    return change


def fade(edge: float, width: float) -> Callable[[int], Tensor]:
    """A window: `edge` at the border, 1 from `width` of the side on."""

    def window(side: int) -> Tensor:
        places = (torch.arange(side) + 0.5) / side
        near = torch.minimum(places, 1 - places) / width
        ramp = edge + (1 - edge) * (0.5 - 0.5 * torch.cos(torch.pi * near.clamp(max=1)))
        return ramp[:, None] * ramp

    return window
