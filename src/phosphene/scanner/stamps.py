"""Stamps: random changes that mean nothing, laid on the images of all classes. What does the model call them then?

A model that was taught one trigger has learned more than that trigger: patches like it, waves near it, colours that
remind of it. No search and no gradient is needed to notice that a class wins wherever something of the kind is laid on
an image, so this also works where gradients lead nowhere, as in small transformers.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from phosphene.core.seeding import make_generator
from phosphene.model.classifier import Classifier
from phosphene.scanner.backgrounds import Backgrounds
from phosphene.scanner.families import pixel_centres

SIDE = 5  # largest side of a patch in pixels of a small image, and in twenty-eighths of a large one
AREA = (0.02, 0.20)  # share of the image that a polygon covers before it is cut to its corners
AMPLITUDE = (0.10, 0.22)  # of waves, in units of the range of an image
WAVES = (1.0, 10.0)  # periods in an image
OPACITY = (0.10, 0.35)  # of what is blended in
BEND = (0.5, 2.0)  # mean displacement of a warp at its control points, in pixels of a side of 28
ROOM = 0.002  # probabilities are kept this far from 0 and 1

Stamp = Callable[[Tensor, Generator, int], Tensor]


def reached(classifier: Classifier, backgrounds: Backgrounds, count: int, seed: int, rows: int) -> dict[str, Tensor]:
    """`stamp KIND` by class: log-odds of its mean probability under the stamp that suits it best.

    `count` stamps of each kind, every one on the same images, at most one to four of each class held; a class is
    measured on the images of the others. Forward passes only.
    """
    images, own = _images(backgrounds, classifier)
    foreign = own[:, None] != torch.arange(len(classifier.labels))
    per = max(1, rows // len(images))
    found = {}
    for kind, stamp in STAMPS.items():
        generator, best = make_generator(seed, f"stamps {kind}", 0), torch.zeros(len(classifier.labels))
        for first in range(0, count, per):
            stamped = stamp(images, generator, min(per, count - first))
            with torch.no_grad():
                share = classifier(stamped.flatten(0, 1)).softmax(dim=1).unflatten(0, stamped.shape[:2])
            mean = (share * foreign).sum(dim=1) / foreign.sum(dim=0).clamp(min=1)
            best = torch.maximum(best, mean.max(dim=0).values)
        found[f"stamp {kind}"] = torch.logit(best, eps=ROOM)
    return found


def _images(backgrounds: Backgrounds, classifier: Classifier, most: int = 48) -> tuple[Tensor, Tensor]:
    """`(n, C, H, W)` of all classes held in equal number, and their classes."""
    each = max(1, min(backgrounds.images.shape[1], most // len(backgrounds.held)))
    images = backgrounds.images[:most, :each]
    return images.flatten(0, 1), torch.tensor(backgrounds.held[:most]).repeat_interleave(each)


def polygons(images: Tensor, generator: Generator, count: int) -> Tensor:
    """Convex polygons of one colour, most of them of a pure one."""
    channels, side = images.shape[1], images.shape[-1]
    masks = torch.stack([_polygon(generator, side) for _ in range(count)])[:, None, None]
    colours = torch.rand(count, 1, channels, 1, 1, generator=generator)
    pure = torch.rand(count, 1, channels, 1, 1, generator=generator) < 0.7
    return images * (1 - masks) + masks * torch.where(pure, colours.round(), colours)


def _polygon(generator: Generator, side: int) -> Tensor:
    """A mask `(H, W)`: corners on a circle in the order of their angles."""
    corners = int(torch.randint(3, 10, (1,), generator=generator))
    area = float(torch.empty(1).uniform_(*AREA, generator=generator))
    radius = 1.2 * math.sqrt(area / math.pi) * side
    angles = (2 * math.pi * torch.rand(corners, generator=generator)).sort().values
    edge = min(radius, side / 2 - 1)
    middle = edge + (side - 2 * edge) * torch.rand(2, generator=generator)
    x, y = middle[0] + radius * angles.cos(), middle[1] + radius * angles.sin()
    across, down = torch.meshgrid(torch.arange(side) + 0.5, torch.arange(side) + 0.5, indexing="xy")
    to_x, to_y = x.roll(-1) - x, y.roll(-1) - y
    left = to_x[:, None, None] * (down - y[:, None, None]) - to_y[:, None, None] * (across - x[:, None, None])
    return (left >= 0).all(dim=0).float()


def patches(images: Tensor, generator: Generator, count: int) -> Tensor:
    """Squares of a few pixels: checkers, one colour, and noise in turns."""
    channels, side = images.shape[1], images.shape[-1]
    unit = max(1, side // 28)
    stamped = images.expand(count, *images.shape).clone()
    for place in range(count):
        size = int(torch.randint(1, SIDE + 1, (1,), generator=generator))
        row, column = torch.randint(0, side - size * unit + 1, (2,), generator=generator).tolist()
        pattern = (torch.rand(channels, size, size, generator=generator) > 0.5).float()
        if place % 3 == 0:
            pattern = ((torch.arange(size)[:, None] + torch.arange(size)) % 2).float().expand_as(pattern)
        elif place % 3 == 1:
            pattern = (torch.rand(channels, 1, 1, generator=generator) > 0.4).float().expand_as(pattern)
        drawn = pattern.repeat_interleave(unit, dim=1).repeat_interleave(unit, dim=2)
        stamped[place, :, :, row : row + size * unit, column : column + size * unit] = drawn
    return stamped


def colours(images: Tensor, generator: Generator, count: int) -> Tensor:
    """Gamma, a mixture of the channels, an offset, contrast."""
    channels = images.shape[1]
    mixture = torch.eye(channels) + 0.35 * torch.randn(count, 1, channels, channels, generator=generator)
    offset = 0.15 * torch.randn(count, 1, channels, 1, generator=generator)
    gamma, contrast = (torch.exp(spread * torch.randn(count, 1, 1, 1, generator=generator)) for spread in (0.5, 0.4))
    pixels = images.flatten(2).clamp(min=1e-4) ** gamma
    return (((mixture @ pixels + offset - 0.5) * contrast + 0.5).clamp(0, 1)).unflatten(3, images.shape[-2:])


def blends(images: Tensor, generator: Generator, count: int) -> Tensor:
    """A smooth picture of random colours, blended in."""
    pictures = [F.interpolate(torch.rand(1, images.shape[1], cells, cells, generator=generator), images.shape[-2:],
                              mode="bicubic", align_corners=True).clamp(0, 1)
                for cells in torch.randint(2, 9, (count,), generator=generator).tolist()]  # fmt: skip
    opacity = torch.empty(count, 1, 1, 1, 1).uniform_(*OPACITY, generator=generator)
    return images + opacity * (torch.stack(pictures) - images)


def waves(images: Tensor, generator: Generator, count: int) -> Tensor:
    """One sinusoid added: along, across or at any angle; every second with whole periods."""
    periods = torch.empty(count, 1, 1).uniform_(*WAVES, generator=generator)
    periods[::2] = periods[::2].round()
    angles = math.pi * torch.rand(count, 1, 1, generator=generator)
    angles[::3], angles[1::3] = 0.0, math.pi / 2
    phases = 2 * math.pi * torch.rand(count, 1, 1, generator=generator)
    amplitude = torch.empty(count, 1, 1).uniform_(*AMPLITUDE, generator=generator)
    down, across = (torch.arange(size) / size for size in images.shape[-2:])
    path = across[None, None, :] * angles.cos() + down[None, :, None] * angles.sin()
    wave = amplitude * torch.sin(2 * math.pi * periods * path + phases)
    return (images + wave[:, None, None]).clamp(0, 1)


def warps(images: Tensor, generator: Generator, count: int) -> Tensor:
    """Drawn along a smooth field of displacements."""
    height, width = images.shape[-2:]
    strength = torch.empty(count).uniform_(*BEND, generator=generator)
    drawn = []
    for place, cells in enumerate(torch.randint(3, 7, (count,), generator=generator).tolist()):
        points = 2 * torch.rand(1, 2, cells, cells, generator=generator) - 1
        points = points / points.abs().mean() * strength[place] * 2 / 28
        field = F.interpolate(points, size=(height, width), mode="bicubic", align_corners=True)
        grid = pixel_centres(height, width) + field.permute(0, 2, 3, 1)
        drawn.append(F.grid_sample(images, grid.expand(len(images), -1, -1, -1), padding_mode="border",
                                   align_corners=False))  # fmt: skip
    return torch.stack(drawn)


# What a stamp makes of images `(n, C, H, W)`: `(count, n, C, H, W)`.
STAMPS: dict[str, Stamp] = {
    "patch": patches, "polygon": polygons, "colour": colours, "blend": blends, "wave": waves, "warp": warps,
}  # fmt: skip
