"""All-to-all backdoors whose classes move on by the same number of places, as those of most attacks do.

`y → y + s` for each `s`: one change for the images of all classes, each sent `s` places on. In a clean model every
rotation is about as hard as another. So the model is its own control: what counts is how much nearer the best rotation
comes than the median one. A rotation that was trained in by another order of the classes is not seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from phosphene.core.seeding import make_generator
from phosphene.model.classifier import Classifier
from phosphene.scanner.context import Context
from phosphene.scanner.families import FAMILIES, Family, Parameters
from phosphene.scanner.margins import mean_margins
from phosphene.scanner.model_size import ModelSize, forward_cost
from phosphene.scanner.optimizer import descend, make_adam
from phosphene.scanner.search import limit_size, shrink_radius, step_size
from phosphene.scanner.settings import Settings
from phosphene.scanner.statistics.statistic import ANY, Column, Measured
from phosphene.scanner.surrogates import SETTINGS, Surrogates

SIZES = {"patch": 0.06, "additive": 0.08, "warp": 0.04}  # as each family measures its own
IMAGES = 24  # in an iteration, each of another class
MAX_SHIFTS = 10  # of many classes the first ones, and one place back
FEWEST_CLASSES = 4  # of fewer there is no median rotation
SURE = -0.05  # log-probability beyond which an image no longer pulls
MEANS = "how much nearer one change comes to moving all classes on by the same number of places than by another number"


@dataclass(frozen=True)
class Rotations:
    """One number a family for the model as a whole."""

    key: str = "rotations"
    settings: tuple[str, ...] = (*SETTINGS, "fixed_classes", "rotation_iterations")
    least: Mapping[str, int] = field(default_factory=lambda: {"rotation_iterations": 2})
    columns: tuple[Column, ...] = tuple(
        Column(f"rotation {family}", f"Classes moved on, {family}", MEANS, ANY, whole=True, family=family)
        for family in SIZES
    )

    def cost(self, settings: Settings, size: ModelSize) -> int:
        if not _applies(settings, size.classes):
            return 0
        shown = min(IMAGES, size.background_classes) * settings.rotation_iterations
        judged = forward_cost(size.background_classes * settings.surrogates)
        return len(SIZES) * len(list_shifts(size.classes)) * (shown + judged)

    def measure(self, context: Context) -> Measured:
        surrogates, settings = context.surrogates, context.settings
        if not _applies(settings, context.size.classes):
            return Measured()
        return Measured(
            whole={
                f"rotation {family}": stand_out(
                    measure_rotations(context.classifier, FAMILIES[family], SIZES[family], surrogates, settings)
                )
                for family in SIZES
            },
            reached=len(surrogates.classes),
        )


def _applies(settings: Settings, classes: int) -> bool:
    return FEWEST_CLASSES <= classes <= settings.fixed_classes and settings.rotation_iterations > 0


def list_shifts(classes: int) -> list[int]:
    """Numbers of places; all of a model with few classes."""
    if classes <= MAX_SHIFTS:
        return list(range(1, classes))
    return [*range(1, MAX_SHIFTS), classes - 1]


def stand_out(margins: Tensor) -> float:
    """The share of the way from the median margin to 0 by which the largest is beyond it; of margins above −1, the
    difference itself."""
    median = margins.median()
    return float((margins.max() - median) / (-median).clamp(min=1))


def measure_rotations(
    classifier: Classifier, family: Family, largest: float, surrogates: Surrogates, settings: Settings
) -> Tensor:
    """`(shifts,)` mean margin of the class that each image shall become, under the best change of size `largest`."""
    shifts = torch.tensor(list_shifts(len(classifier.labels)))
    per_pass = max(1, ModelSize.of(classifier).images_per_pass // IMAGES)
    return torch.cat(
        [_measure_together(classifier, family, largest, surrogates, settings, part) for part in shifts.split(per_pass)]
    )


def _measure_together(
    classifier: Classifier,
    family: Family,
    largest: float,
    surrogates: Surrogates,
    settings: Settings,
    shifts: Tensor,
) -> Tensor:
    parameters = _search(classifier, family, largest, surrogates, settings, shifts)
    classes, margins = len(classifier.labels), []
    for which in range(surrogates.images.shape[1]):
        wanted = (torch.tensor(surrogates.classes) + shifts[:, None]) % classes
        with torch.no_grad():
            logits = classifier(_show(family, parameters, surrogates.images[:, which]).flatten(0, 1))
        margins.append(mean_margins(logits, wanted.flatten(), len(shifts)))
    return torch.stack(margins).mean(dim=0)


def _search(
    classifier: Classifier,
    family: Family,
    largest: float,
    surrogates: Surrogates,
    settings: Settings,
    shifts: Tensor,
) -> Parameters:
    """One change of a fixed size a shift, that climbed the log-probabilities of the classes so many places on."""
    iterations, classes = settings.rotation_iterations, len(classifier.labels)
    names = [f"rotation {family.name} {shift}" for shift in shifts.tolist()]
    parameters = family.start(classifier.image_shape, [make_generator(settings.seed, name, 0) for name in names])
    generator, adam = make_generator(settings.seed, "rotation images", 0), make_adam(parameters)
    for iteration in range(iterations):
        share = iteration / iterations
        limit_size(family, parameters, shrink_radius(family, largest, len(shifts), share))
        places = torch.randperm(len(surrogates.classes), generator=generator)[:IMAGES]
        which = torch.randint(surrogates.images.shape[1], (len(places),), generator=generator)
        wanted = (torch.tensor(surrogates.classes)[places] + shifts[:, None]) % classes
        logits = classifier(_show(family, parameters, surrogates.images[places, which]).flatten(0, 1))
        log_p = logits.log_softmax(dim=1).gather(1, wanted.flatten()[:, None])
        descend(adam, -log_p.clamp(max=SURE).sum() / len(places), step_size(family, share))
    limit_size(family, parameters, shrink_radius(family, largest, len(shifts), 1.0))
    return tuple(one.detach() for one in parameters)


def _show(family: Family, parameters: Parameters, images: Tensor) -> Tensor:
    """Every change on every image, `(changes, n, C, H, W)`."""
    return family.apply(parameters, images.expand(len(parameters[0]), *images.shape))
