"""Causal verification without data: is it the trigger that sends images to the target, and how little of it will do?

The candidate is stamped on fresh surrogates that the search never met, on noise and on flat colour, its most changed
pixels first. Beside it stand two controls: the same change with its pixels shuffled in place, and the changes found for
other classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from phosphene.core.seeding import make_generator
from phosphene.model.classifier import Classifier
from phosphene.scanner.backgrounds import Backgrounds
from phosphene.scanner.probes import NOISE
from phosphene.scanner.record import Curve, Named, Trigger, picture
from phosphene.scanner.search import Found

AREAS = (0.0, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0)
BOXED = 0.5  # of the largest change: pixels that belong to the trigger's box


def canvases(classifier: Classifier, fresh: Backgrounds, target: int, seed: int, most: int = 24) -> Tensor:
    """Images that are not of the target class for the model: fresh surrogates, noise and flat colour."""
    kept = [place for place, index in enumerate(fresh.held) if index != target]
    noise = [kind.draw(make_generator(seed, "canvas", place), 3, classifier.image_shape)
             for place, kind in enumerate(NOISE)]  # fmt: skip
    images = torch.cat([fresh.images[kept].transpose(0, 1).flatten(0, 1)[: most - 9], *noise])
    with torch.no_grad():
        other = classifier(images).argmax(dim=1) != target
    return images[other] if other.any() else images


def curve(classifier: Classifier, found: Found, others: Found | None, images: Tensor, target: int, seed: int) -> Curve:
    """Flip rates to `target` for the first row of `found`, its shuffled self, and each row of `others`."""
    changed = applied(found, 0, images)
    series = {"trigger": rates(classifier, images, changed, target)}
    height, width = images.shape[2:]
    order = torch.randperm(height * width, generator=make_generator(seed, "shuffle", 0))
    difference = (changed - images).flatten(2)[..., order].view_as(images)
    series["shuffled in place"] = rates(classifier, images, (images + difference).clamp(0, 1), target)
    if others is not None and len(others.log_size):
        rows = [rates(classifier, images, applied(others, row, images), target) for row in range(len(others.log_size))]
        series["other classes"] = tuple(sum(values) / len(values) for values in zip(*rows, strict=True))
    return Curve(AREAS, series)


def rates(classifier: Classifier, images: Tensor, changed: Tensor, target: int) -> tuple[float, ...]:
    """Share of images that become `target` when the most changed pixels are replaced, one a share of `AREAS`."""
    importance = (changed - images).abs().mean(dim=(0, 1)).flatten()
    ranks = importance.argsort(descending=True).argsort()
    found = []
    for area in AREAS:
        keep = (ranks < round(area * len(ranks))).view(images.shape[2:])
        with torch.no_grad():
            flips = classifier(torch.where(keep, changed, images)).argmax(dim=1) == target
        found.append(float(flips.float().mean()))
    return tuple(found)


def applied(found: Found, row: int, images: Tensor) -> Tensor:
    """The images changed by one candidate."""
    parameters = tuple(one[row : row + 1] for one in found.parameters)
    with torch.no_grad():
        return found.family.apply(parameters, images[None])[0]


def trigger(found: Found, images: Tensor, target: Named, flip_rate: float) -> Trigger:
    """The first candidate as pictures."""
    changed = applied(found, 0, images)
    change = changed - images
    if found.family.name == "patch":
        mask, shown = found.parameters[0][0, 0], torch.sigmoid(8 * found.parameters[1][0])
    else:
        mask, shown = change.abs().mean(dim=(0, 1)), 0.5 + change.mean(dim=0)
        mask = mask / mask.max().clamp(min=1e-9)
    return Trigger(target, found.family.name, flip_rate, float(found.log_size[0].exp()), box(mask),
                   *(picture(one.clamp(0, 1)) for one in (mask, shown, images[0], changed[0])))  # fmt: skip


def box(mask: Tensor) -> tuple[int, int, int, int] | None:
    """Bounding box (left, top, right, bottom) of the strongest part of a mask (H,W); None of an empty one."""
    inside = mask >= BOXED * mask.max()
    if not mask.max() > 0:
        return None
    rows, columns = inside.any(dim=1).nonzero()[:, 0], inside.any(dim=0).nonzero()[:, 0]
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def agreement(masks: Sequence[Tensor]) -> float:
    """Mean cosine of the masks of independent restarts; 1 where they all lie in one place."""
    flat = torch.stack([mask.flatten() for mask in masks])
    flat = flat / flat.norm(dim=1, keepdim=True).clamp(min=1e-12)
    cosines = flat @ flat.T
    count = len(masks)
    return float((cosines.sum() - cosines.trace()) / max(1, count * (count - 1)))
