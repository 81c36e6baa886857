"""Causal verification without data: does the trigger send images to the target, and how little of it is enough?

The candidate is stamped on fresh surrogates that the search never used, on noise and on flat colour, its most changed
pixels first. Beside it stand two controls: the same change with its pixels shuffled in place, and the changes found for
other classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from phosphene.core.seeding import make_generator
from phosphene.model.classifier import Classifier
from phosphene.scanner.families import pattern_colours
from phosphene.scanner.noise import NOISE, draw_noise
from phosphene.scanner.record import Curve, Named, Trigger, encode_picture
from phosphene.scanner.search import Candidates
from phosphene.scanner.surrogates import Surrogates

AREAS = (0.0, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0)
BOX_SHARE = 0.5  # of the largest change: pixels that belong to the trigger's box
MAX_IMAGES = 24
NOISE_IMAGES = 3  # of each kind


@dataclass(frozen=True)
class Flips:
    """Of `tried` images, how many turn into the target with the candidate, and with its pixels shuffled."""

    tried: int
    flipped: int
    shuffled: int


def choose_images(classifier: Classifier, fresh: Surrogates, target: int, seed: int) -> Tensor:
    """At most 24 images that the model does not predict as the target: fresh surrogates, noise and flat colour."""
    others = [place for place, index in enumerate(fresh.classes) if index != target]
    surrogates = fresh.images[others].transpose(0, 1).flatten(0, 1)[: MAX_IMAGES - len(NOISE) * NOISE_IMAGES]
    images = torch.cat([surrogates, draw_noise("canvas", NOISE_IMAGES, classifier.image_shape, seed)])
    with torch.no_grad():
        usable = classifier(images).argmax(dim=1) != target
    return images[usable] if usable.any() else images


def measure_curve(
    classifier: Classifier, candidate: Candidates, others: Candidates | None, images: Tensor, target: int, seed: int
) -> Curve:
    """Flip rates to `target` for the first candidate, its shuffled self, and the mean of `others`."""
    changed = apply_candidate(candidate, 0, images)
    series = {"trigger": measure_flip_rates(classifier, images, changed, target)}
    shuffled = _shuffle_pixels(changed - images, seed)
    series["shuffled in place"] = measure_flip_rates(classifier, images, (images + shuffled).clamp(0, 1), target)
    if others is not None and len(others.log_size):
        changes = [apply_candidate(others, row, images) for row in range(len(others.log_size))]
        rates = [measure_flip_rates(classifier, images, one, target) for one in changes]
        series["other classes"] = tuple(sum(values) / len(values) for values in zip(*rates, strict=True))
    return Curve(AREAS, series)


def _shuffle_pixels(images: Tensor, seed: int) -> Tensor:
    """The same permutation of pixels for all images and channels."""
    height, width = images.shape[2:]
    order = torch.randperm(height * width, generator=make_generator(seed, "shuffle", 0))
    return images.flatten(2)[..., order].view_as(images)


def measure_flip_rates(classifier: Classifier, images: Tensor, changed: Tensor, target: int) -> tuple[float, ...]:
    """Share of images that become `target` when the most changed pixels are replaced, one a share of `AREAS`."""
    importance = (changed - images).abs().mean(dim=(0, 1)).flatten()
    ranks = importance.argsort(descending=True).argsort()
    rates = []
    for area in AREAS:
        keep = (ranks < round(area * len(ranks))).view(images.shape[2:])
        with torch.no_grad():
            flips = classifier(torch.where(keep, changed, images)).argmax(dim=1) == target
        rates.append(float(flips.float().mean()))
    return tuple(rates)


def count_flips(classifier: Classifier, candidate: Candidates, images: Tensor, target: int, seed: int) -> Flips:
    """How many of the images that are not predicted as `target` become it with the candidate, and with its pixels
    shuffled in place."""
    with torch.no_grad():
        images = images[classifier(images).argmax(dim=1) != target]
        if not len(images):
            return Flips(0, 0, 0)
        changed = apply_candidate(candidate, 0, images)
        shuffled = (images + _shuffle_pixels(changed - images, seed)).clamp(0, 1)
        flips = [int((classifier(one).argmax(dim=1) == target).sum()) for one in (changed, shuffled)]
    return Flips(len(images), *flips)


def apply_candidate(candidates: Candidates, row: int, images: Tensor) -> Tensor:
    """The images changed by one candidate."""
    parameters = tuple(one[row : row + 1] for one in candidates.parameters)
    with torch.no_grad():
        return candidates.family.apply(parameters, images[None])[0]


def describe_trigger(candidate: Candidates, images: Tensor, target: Named, flip_rate: float) -> Trigger:
    """The first candidate as pictures."""
    changed = apply_candidate(candidate, 0, images)
    mask, pattern = _show_change(candidate, changed - images)
    pictures = [encode_picture(one.clamp(0, 1)) for one in (mask, pattern, images[0], changed[0])]
    size = float(candidate.log_size[0].exp())
    return Trigger(target, candidate.family.name, flip_rate, size, find_box(mask), *pictures)


def _show_change(candidate: Candidates, change: Tensor) -> tuple[Tensor, Tensor]:
    """Mask `(H, W)` and pattern `(C, H, W)`; for a family without them, where and how images change in the mean."""
    if candidate.family.name == "patch":
        return candidate.parameters[0][0, 0], pattern_colours(candidate.parameters[1][0])
    mask = change.abs().mean(dim=(0, 1))
    return mask / mask.max().clamp(min=1e-9), 0.5 + change.mean(dim=0)


def find_box(mask: Tensor) -> tuple[int, int, int, int] | None:
    """Bounding box (left, top, right, bottom) of the strongest part of a mask (H,W); None of an empty one."""
    inside = mask >= BOX_SHARE * mask.max()
    if not mask.max() > 0:
        return None
    rows, columns = inside.any(dim=1).nonzero()[:, 0], inside.any(dim=0).nonzero()[:, 0]
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def measure_agreement(masks: Sequence[Tensor]) -> float:
    """Mean cosine of the masks of independent restarts; 1 where they all lie in one place."""
    flat = torch.stack([mask.flatten() for mask in masks])
    flat = flat / flat.norm(dim=1, keepdim=True).clamp(min=1e-12)
    cosines = flat @ flat.T
    count = len(masks)
    return float((cosines.sum() - cosines.trace()) / max(1, count * (count - 1)))
