"""Whether a network is fed on the scale that it was trained on, from its own first batch norm and no data.

A batch norm remembers the mean and the deviation of each of its channels over the training images. What the layers
before it make of generated images with the spectrum, contrast and colours of photographs has to agree with that, under
the normalisation that the record says. Where it does not, and another usual normalisation does, the record is doubted.

The misfit of a normalisation is the median over the channels of

    |log(σ / σ_r)| + |μ − μ_r| / max(σ, σ_r),

with μ, σ measured and μ_r, σ_r remembered; a wrong factor of two costs about 0.7. Networks without batch norms, and
those of images that are nothing like photographs, fit nothing and are not doubted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from phosphene.core.frequency import nonzero_magnitude
from phosphene.core.hooks import pre_hooks
from phosphene.core.images import ImageShape
from phosphene.model.freezing import frozen
from phosphene.model.input_format import InputFormat

IMAGES = 16
DOUBTED = 0.75  # misfit of the record's normalisation from which it may be doubted
# Images of one channel are seldom photographs: clothes, digits and x-rays on black move the mean by a deviation and the
# scale by a factor of three. What is left to see is a scale that is wrong by far more, as of 0 to 255.
DOUBTED_GREY = 2.5
FITS = 0.45  # misfit of another one up to which it fits
USUAL: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "0 to 1": ((0.0,), (1.0,)),
    "-1 to 1": ((0.5,), (0.5,)),
    "of ImageNet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "0 to 255": ((0.0,), (1 / 255,)),
    "0 to 255, without its mean": ((0.485, 0.456, 0.406), (1 / 255,)),
    "0 to 1, once more divided by 255": ((0.0,), (255.0,)),
}


@dataclass(frozen=True)
class Doubt:
    """The usual normalisation that fits a network's first batch norm, where the record's does not."""

    usual: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    misfit: float  # of the record's normalisation
    fits: float  # misfit of the usual one

    def __str__(self) -> str:
        mean, std = (",".join(f"{value:.4g}" for value in values) for values in (self.mean, self.std))
        return (
            f"the first batch norm was trained on inputs of another scale: misfit {self.misfit:.2f} under the stated "
            f"normalisation, {self.fits:.2f} under --mean {mean} --std {std} ({self.usual})"
        )


def doubt_normalization(module: nn.Module, form: InputFormat) -> Doubt | None:
    """A usual normalisation that fits where the one of the format does not; None where there is no doubt, or no batch
    norm that could tell."""
    stated = measure_misfit(module, form)
    if stated is None or stated < (DOUBTED_GREY if form.channels == 1 else DOUBTED):
        return None
    usual = {name: measure_misfit(module, usual_format(name, form)) for name in USUAL}
    name, fits = min(((name, misfit) for name, misfit in usual.items() if misfit is not None), key=lambda row: row[1])
    other = usual_format(name, form)
    return Doubt(name, other.mean, other.std, round(stated, 3), round(fits, 3)) if fits <= FITS else None


def usual_format(name: str, form: InputFormat) -> InputFormat:
    """The format with a usual normalisation, which is averaged for images of other than three channels."""
    mean, std = (
        values if len(values) in (1, form.channels) else (sum(values) / len(values),) for values in USUAL[name]
    )
    return replace(form, mean=mean, std=std)


def measure_misfit(module: nn.Module, form: InputFormat) -> float | None:
    """How badly what arrives at the first batch norm agrees with what it remembers; None without one."""
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (form.mean, form.std))
    images = (natural_images((form.channels, *form.size), IMAGES) - mean) / std
    first = _first_norm(module, images)
    if first is None:
        return None
    mu, sigma, remembered_mean, remembered = first
    alive = remembered > 1e-3 * remembered.max()
    ratio = (sigma.clamp(min=1e-12) / remembered.clamp(min=1e-12)).log().abs()
    shift = (mu - remembered_mean).abs() / torch.maximum(sigma, remembered).clamp(min=1e-12)
    misfit = float((ratio + shift)[alive].median())
    return misfit if misfit == misfit else None


class _Reached(Exception):
    """Ends a forward at the layer that was wanted."""


def _first_norm(module: nn.Module, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
    """Mean and deviation of the channels that the first batch norm receives, then those that it remembers; None where
    it was not trained."""
    found: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []

    def stop(norm: nn.Module, inputs: tuple[object, ...]) -> None:
        (features,) = inputs[:1]
        remembered = _remembered(norm)
        if isinstance(features, Tensor) and features.ndim == 4 and remembered is not None:
            features = features.detach().float()
            found.append((features.mean(dim=(0, 2, 3)), features.std(dim=(0, 2, 3)), *remembered))
        raise _Reached

    norms = [(one, stop) for one in module.modules() if isinstance(one, nn.BatchNorm2d)]
    parameter = next(module.parameters(), torch.zeros(()))
    try:
        with pre_hooks(norms), frozen(module), torch.no_grad():
            module(images.to(parameter.device, parameter.dtype))
    except Exception:  # reached, or whatever the user's own module raises: another check names that
        pass
    return found[0] if found else None


def _remembered(norm: nn.Module) -> tuple[Tensor, Tensor] | None:
    """Mean and deviation that a batch norm remembers, where they are more than those that it is built with."""
    mean, variance = getattr(norm, "running_mean", None), getattr(norm, "running_var", None)
    if mean is None or variance is None or not mean.any() or (variance == 1).all():
        return None
    return mean.float(), variance.float().clamp(min=0).sqrt()


def natural_images(shape: ImageShape, count: int) -> Tensor:
    """Images `(count, C, H, W)` in [0,1] with the 1/f spectrum, contrast, brightness and weak colours of photos."""
    generator = torch.Generator().manual_seed(0)
    channels = shape[0]
    luminance = _pink((count, 1, *shape[1:]), generator)
    contrast = 0.1 + 0.2 * torch.rand(count, 1, 1, 1, generator=generator)
    brightness = 0.45 + 0.12 * torch.randn(count, 1, 1, 1, generator=generator)
    images = brightness + contrast * luminance
    if channels > 1:
        tint = 0.04 * torch.randn(count, channels, 1, 1, generator=generator)
        images = images + tint + 0.06 * _pink((count, *shape), generator)
    return images.expand(count, *shape).clamp(0, 1)


def _pink(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    falloff = nonzero_magnitude(*shape[2:]).reciprocal()
    falloff[0, 0] = 0.0
    noise = torch.fft.irfft2(torch.fft.rfft2(torch.randn(shape, generator=generator)) * falloff, s=shape[2:])
    deviation = noise.std(dim=(1, 2, 3), keepdim=True, correction=0)
    return noise / deviation.clamp(min=1e-12)
