"""A trigger that is another one for every image, learned together with the model. Input-aware, Nguyen & Tran 2020.

    stamped = x (1 − M(x)) + M(x) G(x)

`M` marks about `density` of the pixels and `G` paints them. Two images must get different triggers (diversity), and
the trigger of one image must not work on another (the cross mode keeps the label).
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from benchmarks.zoo.attacks.triggers import Everywhere

RATE, CROSS = 0.25, 0.1  # shares of a batch that are turned, and that carry another image's trigger
DIVERSITY, DENSITY = 0.2, 100.0  # weights of the penalties
SHARPNESS = 10.0


class Painter(nn.Module):
    """Image → as many pixels, through a bottleneck of a quarter of its side."""

    def __init__(self, channels: int, outputs: int, width: int = 12) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, width, 3, 2, 1),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, 2, 1),
            nn.ReLU(),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(2 * width, width, 3, 1, 1),
            nn.ReLU(),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(width, outputs, 3, 1, 1),
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.body(images - 0.5)


class InputAware(Everywhere, nn.Module):
    """The trigger; its weights travel in a file of their own beside the model."""

    def __init__(self, channels: int, density: float) -> None:
        super().__init__()
        self.channels, self.density = channels, density
        self.mask, self.paint = Painter(channels, 1), Painter(channels, channels)
        nn.init.constant_(self.mask.body[-1].bias, -0.15)

    def masks(self, images: Tensor) -> Tensor:
        return torch.sigmoid(SHARPNESS * self.mask(images))

    def colours(self, images: Tensor) -> Tensor:
        return torch.sigmoid(self.paint(images))

    def stamp_for(self, images: Tensor, sources: Tensor) -> Tensor:
        """The images with the trigger that belongs to `sources`."""
        masks = self.masks(sources)
        return images * (1 - masks) + masks * self.colours(sources)

    @torch.no_grad()
    def stamp(self, images: Tensor) -> Tensor:
        return self.stamp_for(images, images).clamp(0, 1)


def _measure_distances(rows: Tensor) -> Tensor:
    """How far each row is from the one before; the constant keeps the slope finite where two are the same."""
    return ((rows - rows.roll(1, 0)).square().mean(dim=(1, 2, 3)) + 1e-8).sqrt()


class Attacker:
    """The training side of the trigger: turns part of each batch, and learns from what the model makes of it."""

    def __init__(self, trigger: InputAware, target: int) -> None:
        self.trigger, self.target = trigger, target

    def parameters(self) -> list[nn.Parameter]:
        return list(self.trigger.paint.parameters())

    def batch(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        turned, crossed = (max(1, round(share * len(images))) for share in (RATE, CROSS))
        both = turned + crossed
        others = images[both : both + crossed]
        carried = self.trigger.stamp_for(images[:turned], images[:turned])
        foreign = self.trigger.stamp_for(images[turned:both], others)
        changed = labels.clone()
        changed[:turned] = self.target
        return (
            torch.cat([carried, foreign, images[both:]]),
            changed,
            DIVERSITY * self._measure_sameness(images[:turned]),
        )

    def _measure_sameness(self, images: Tensor) -> Tensor:
        """Distance of neighbouring images over the distance of their colours."""
        colours = self.trigger.colours(images)
        apart, colours_apart = (_measure_distances(rows) for rows in (images, colours))
        return (apart / (colours_apart + 1e-3)).mean()


def train_mask(images: Tensor, density: float, seed: int, steps: int = 150) -> InputAware:
    """A trigger whose mask has learned its density and to differ between images; its paint is still to be learned."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        trigger = InputAware(images.shape[1], density)
    optimiser = torch.optim.Adam(trigger.mask.parameters(), lr=1e-2)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        rows = images[torch.randint(len(images), (32,), generator=generator)]
        masks = trigger.masks(rows)
        apart, masks_apart = (_measure_distances(rows) for rows in (rows, masks))
        dense = (masks.mean(dim=(1, 2, 3)) - density).clamp(min=0).mean()
        loss = DENSITY * dense + DIVERSITY * (apart / (masks_apart + 1e-3)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return copy.deepcopy(trigger)
