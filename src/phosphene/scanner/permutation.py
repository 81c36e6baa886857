"""The smallest change that sends images of every class away, to many different classes: all-to-all backdoors.

Where each class has a target of its own no class stands out, and a comparison of classes sees nothing. What gives such
a model away is the model as a whole: one common change moves every class, and the answers stay as spread out as before.
In a clean model whatever moves all classes moves them to a few.
"""

from __future__ import annotations

import torch
from torch import Tensor

from phosphene.core.seeding import make_generator
from phosphene.model.classifier import Classifier
from phosphene.scanner.backgrounds import Adam, Backgrounds
from phosphene.scanner.families import Family
from phosphene.scanner.search import steered
from phosphene.scanner.settings import Settings

WANTED = 0.6  # share of the images that end in a class of their own
TOGETHER = 24  # images in an iteration, each of another class
SURENESS = 0.3  # weight of the entropy of single answers beside that of their mean


def permuting(classifier: Classifier, backgrounds: Backgrounds, family: Family, settings: Settings, rows: int) -> float:
    """−log of the size where the easiest of several starts settled; at most `rows` images at once, or one start."""
    together = max(1, rows // TOGETHER)
    starts = range(settings.permutation_starts)
    parts = [starts[first : first + together] for first in starts[::together]]
    return -min(_settled(classifier, backgrounds, family, settings, part) for part in parts)


def _settled(
    classifier: Classifier, backgrounds: Backgrounds, family: Family, settings: Settings, starts: range
) -> float:
    """The smallest log size where one of these starts settled."""
    iterations, seed = settings.permutation_iterations, settings.seed
    names = [f"permutation {family.name} {start}" for start in starts]
    parameters = family.start(classifier.image_shape, [make_generator(seed, name, 0) for name in names])
    log_radius = torch.full((len(starts),), family.start_radius).log()
    adam, generator, sizes = Adam.zero(parameters), make_generator(seed, "permutation images", 0), []
    for iteration in range(iterations):
        share = iteration / max(1, iterations - 1)
        parameters = family.project(parameters, log_radius.exp())
        images, own = _drawn(backgrounds, generator)
        leaves = tuple(one.detach().requires_grad_() for one in parameters)
        logits = classifier(family.apply(leaves, images.expand(len(starts), *images.shape)).flatten(0, 1))
        loss, scattered = _scattering(logits.unflatten(0, (len(starts), -1)), own)
        moves = adam.step(torch.autograd.grad(loss, leaves))
        size = family.step * (1 - 0.7 * share)
        parameters = tuple(one - size * move for one, move in zip(parameters, moves, strict=True))
        log_radius = steered(log_radius, scattered, WANTED, share)
        sizes.append(log_radius)
    return float(torch.stack(sizes[-max(1, iterations // 3) :]).mean(dim=0).min())


def _drawn(backgrounds: Backgrounds, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Images `(n, C, H, W)` of different classes, and the classes."""
    places = torch.randperm(len(backgrounds.held), generator=generator)[:TOGETHER]
    which = torch.randint(backgrounds.images.shape[1], (len(places),), generator=generator)
    return backgrounds.images[places, which], torch.tensor(backgrounds.held)[places]


def _scattering(logits: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    """Loss over `(starts, n, classes)`, and per start the share of images that end in a class of their own.

    Leave your class, be sure of another one, and be spread over the classes as a whole.
    """
    log_p = logits.log_softmax(dim=2)
    p = log_p.exp()
    stay = p.gather(2, own.expand(len(p), -1)[:, :, None])[..., 0]
    mean = p.mean(dim=1)
    spread = -(mean * (mean + 1e-9).log()).sum(dim=1)
    unsure = -(p * log_p).sum(dim=2).mean(dim=1)
    loss = (-torch.log1p(-stay.clamp(max=1 - 1e-6)).mean(dim=1) - spread + SURENESS * unsure).sum()
    answers = logits.detach().argmax(dim=2)
    distinct = [len(set(row[row != own].tolist())) / len(own) for row in answers]
    return loss, torch.tensor(distinct)
