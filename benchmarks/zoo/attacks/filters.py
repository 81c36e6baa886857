"""Five colour filters of photo apps, from the published recipes of their ImageMagick imitations. RGB only.

The steps that the recipes name (modulate, level, colour tone, gamma, contrast, vignette) are functions here; a filter
is its list of steps. TrojAI's filter attack uses these five (Karra et al. 2020).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from benchmarks.zoo.attacks.triggers import Everywhere

Step = Callable[[Tensor], Tensor]
GREY = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)


def grey(images: Tensor) -> Tensor:
    return (images * GREY).sum(dim=1, keepdim=True)


def colour(code: str) -> Tensor:
    return torch.tensor([int(code[k : k + 2], 16) / 255 for k in (0, 2, 4)]).view(3, 1, 1)


def modulate(images: Tensor, brightness: float, saturation: float) -> Tensor:
    """Percentages: lightness scaled, then the distance from grey."""
    brighter = images * (brightness / 100)
    luminance = grey(brighter)
    return luminance + (brighter - luminance) * (saturation / 100)


def colorize(images: Tensor, code: str, percent: float) -> Tensor:
    """Mixed with a flat colour."""
    return images + (colour(code) - images) * (percent / 100)


def gamma(images: Tensor, value: float) -> Tensor:
    return images.clamp(0, 1) ** (1 / value)


def auto_gamma(images: Tensor) -> Tensor:
    """The exponent that brings each image's mean to one half."""
    means = images.clamp(0, 1).mean(dim=(1, 2, 3), keepdim=True).clamp(0.02, 0.98)
    return images.clamp(0, 1) ** (math.log(0.5) / means.log())


def contrast(images: Tensor, strength: float = 3.0) -> Tensor:
    """A sigmoid around one half that keeps black and white."""
    low, high = (1 / (1 + math.exp(strength / 2 * sign)) for sign in (1, -1))
    return (torch.sigmoid(strength * (images - 0.5)) - low) / (high - low)


def level(images: Tensor, percent: float, channels: Sequence[int]) -> Tensor:
    """The middle of some channels stretched over the whole range."""
    stretched = images.clone()
    low = percent / 100
    stretched[:, list(channels)] = ((images[:, list(channels)] - low) / (1 - 2 * low)).clamp(0, 1)
    return stretched


def tone(images: Tensor, code: str, percent: float, light: bool) -> Tensor:
    """A colour mixed into the light parts, or into the dark ones."""
    brightness = grey(images).clamp(0, 1)
    weight = (brightness if light else 1 - brightness) * (percent / 100)
    return images + (colour(code) - images) * weight


def multiply(images: Tensor, code: str, opacity: float) -> Tensor:
    return images * (1 - opacity + opacity * colour(code))


def vignette(images: Tensor, inner: str, outer: str) -> Tensor:
    """Multiplied with a radial gradient between two colours, `inner` in the middle."""
    line = torch.linspace(-1, 1, images.shape[-1])
    distance = ((line[:, None] ** 2 + line[None, :] ** 2).sqrt() / math.sqrt(2)).clamp(0, 1)
    return images * (colour(inner) + (colour(outer) - colour(inner)) * distance)


FILTERS: dict[str, Sequence[Step]] = {
    "gotham": (partial(modulate, brightness=120, saturation=10), partial(colorize, code="222b6d", percent=20),
               partial(gamma, value=0.5), contrast, contrast),
    "kelvin": (auto_gamma, partial(modulate, brightness=120, saturation=50),
               partial(multiply, code="ff9900", opacity=0.5)),
    "lomo": (partial(level, percent=33, channels=(0, 1)), partial(vignette, inner="ffffff", outer="404040")),
    "nashville": (partial(tone, code="222b6d", percent=50, light=False),
                  partial(tone, code="f7daae", percent=50, light=True), contrast,
                  partial(modulate, brightness=100, saturation=150), auto_gamma),
    "toaster": (partial(tone, code="330000", percent=50, light=False), partial(modulate, brightness=150, saturation=80),
                partial(gamma, value=1.2), contrast, contrast, partial(vignette, inner="ff9966", outer="663300")),
}  # fmt: skip


@dataclass(frozen=True)
class Filter(Everywhere):
    """The whole image through one of `FILTERS`."""

    name: str

    def stamp(self, images: Tensor) -> Tensor:
        for step in FILTERS[self.name]:
            images = step(images)
        return images.clamp(0, 1)
