"""The ways in which one class is asked for: one recipe that differs from another in a single thing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from phosphene.core.seeding import make_generator
from phosphene.errors import FailedCheck
from phosphene.method.loop import iterate
from phosphene.method.scaling import render_pictures
from phosphene.model.classifier import Classifier
from phosphene.recipe.concepts import Classes
from phosphene.recipe.distributions import Distribution, Flat, Gaussian, Grey, Pink, Uniform
from phosphene.recipe.geometries import Pixel
from phosphene.recipe.recipe import PRESETS, Recipe
from phosphene.studies.agnostic import make_recipe

START_CONTRAST = 1.0  # standard deviation, in logits, of the random map that one asking begins with
MOST = 64  # images of a batch
SMALLER = 0.75  # of the side
PIXELS = 3 * 224 * 224  # numbers of an image that the pixel geometry's radius is meant for
PIXEL_RADIUS = 300.0  # of logits on images of PIXELS numbers; a unit of brightness is about four of its logit


@dataclass(frozen=True)
class Asking:
    """A recipe, and whether the map begins with 1/f noise instead of nothing and whether images are smaller."""

    recipe: Recipe
    random_start: bool = False
    smaller: bool = False


def list_askings(numbers: int, iterations: int, seed: int = 0) -> dict[str, Asking]:
    """Every asking by name, the default preset first; `numbers` is how many an image has."""
    default = make_recipe("default", seed=seed, iterations=iterations)
    pixel = Pixel(scale_radius(PIXEL_RADIUS, numbers))
    return {
        "default": Asking(default),
        "another seed": Asking(replace(default, seed=seed + 1)),
        "random start": Asking(default, random_start=True),
        "1/f noise": Asking(replace(default, distribution=Pink())),
        "uniform noise": Asking(replace(default, distribution=Uniform())),
        "flat colours": Asking(replace(default, distribution=Flat())),
        "clip": Asking(replace(default, composition="clip")),
        "pixel": Asking(replace(default, geometry=pixel, shared_scale=True)),
        "smaller": Asking(default, smaller=True),
        "gradient as it is": Asking(replace(default, leak=0.0, residual=1.0)),
    }


def choose_paper(numbers: int, iterations: int, seed: int = 0) -> Asking:
    """The paper's preset, its ball of the same root mean square on images of any size, without refinement."""
    geometry = Pixel(scale_radius(PRESETS["paper"].geometry.radius, numbers))
    return Asking(make_recipe("paper", seed=seed, iterations=iterations, geometry=geometry, refine_every=0))


def scale_radius(radius: float, numbers: int) -> float:
    """The radius of the same root mean square, for images of so many numbers."""
    return float(radius * (numbers / PIXELS) ** 0.5)


GROUNDS: dict[str, Distribution] = {
    "grey": Grey(),
    "Gaussian noise": Gaussian(),
    "1/f noise": Pink(),
    "uniform noise": Uniform(),
    "flat colours": Flat(),
}


def ask(classifier: Classifier, concepts: Sequence[Classes], asking: Asking) -> Tensor:
    """The bare pictures `(concepts, C, H, W)` that one asking draws, all at the size of the classifier."""
    asked = shrink(classifier) if asking.smaller else classifier
    asked = asked.replace(batch_size=min(len(concepts) * asking.recipe.samples, MOST))
    start = start_maps(asked, concepts, asking.recipe.seed) if asking.random_start else None
    *_, last = iterate(asked, score_by(concepts, asking.recipe), asking.recipe, start=start)
    pictures = render_pictures(last.maps().detach(), asking.recipe)
    if pictures.shape[2:] != classifier.image_shape[1:]:
        pictures = F.interpolate(pictures, size=classifier.format.size, mode="bicubic", antialias=True).clamp(0, 1)
    return pictures


def score_by(concepts: Sequence[Classes], recipe: Recipe) -> list[Classes]:
    """The classes, scored as the recipe says."""
    return [replace(concept, scored=recipe.score) for concept in concepts]


def shrink(classifier: Classifier) -> Classifier:
    """The network on smaller images; on its own size where it takes no other."""
    height, width = (4 * round(SMALLER * side / 4) for side in classifier.format.size)
    try:
        return classifier.resize((height, width))
    except FailedCheck:
        return classifier


def start_maps(classifier: Classifier, concepts: Sequence[Classes], seed: int) -> Tensor:
    """1/f noise for each concept, as a map."""
    generators = [make_generator(seed, f"start/{concept.name}", 0) for concept in concepts]
    noise = torch.cat([Pink().draw(one, 1, classifier.image_shape) for one in generators]) - 0.5
    return noise * (START_CONTRAST / noise.flatten(1).std(dim=1).view(-1, 1, 1, 1))
