"""What an image processor does to an image, asked of the processor itself.

The fields of a processor's record (size, shortest edge, crop, rescale, mean, offsets, order of colours) mean something
else in nearly every class of transformers. So flat images are passed through it, and what comes out says the size and,
channel by channel, the straight line from a pixel in [0,1] to the network's input.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from phosphene.errors import BadInput

SIDE = 640  # of the flat images; larger than what classifiers take
COLOURS = ((40, 90, 200), (200, 40, 90), (90, 200, 40), (0, 0, 0), (255, 255, 255))
GREYS = (0, 40, 90, 200, 255)
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Processing:
    """The input that a processor makes: `(image − mean) / std` of images in [0,1], or `flipped` from red to blue.

    `unknown` names the fields that it does not say.
    """

    size: tuple[int, int]
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    flipped: bool = False
    unknown: tuple[str, ...] = ()


def ask_processor(processor: Any, shown: str, channels: int = 3) -> Processing:
    """What the processor does to flat images, for a network of so many channels. Raises `BadInput` where that is no
    straight line of each channel."""
    if channels == 1:
        return _ask_for_grey(processor, shown)
    outputs = np.stack([_process(processor, colour) for colour in COLOURS])  # (colours, C, H, W)
    channels, size = outputs.shape[1], (int(outputs.shape[2]), int(outputs.shape[3]))
    middle = outputs[:, :, size[0] // 2, size[1] // 2].astype(np.float64)
    colours = np.array(COLOURS, dtype=np.float64) / 255
    for flipped in (False, True):
        asked = colours[:, ::-1] if flipped else colours
        lines = (
            [_fit_line(asked[:, channel], middle[:, channel]) for channel in range(channels)] if channels == 3 else []
        )
        if lines and all(lines):
            slopes, offsets = zip(*(line for line in lines if line), strict=True)
            mean = tuple(-offset / slope for slope, offset in zip(slopes, offsets, strict=True))
            std = tuple(1 / slope for slope in slopes)
            order = slice(None, None, -1) if flipped else slice(None)
            return Processing(size, channels, _round(mean[order]), _round(std[order]), flipped)
    raise _refuse(shown)


def _ask_for_grey(processor: Any, shown: str) -> Processing:
    """Of a network of one channel, whose processor takes grey images, or makes three channels alike of each."""
    for mode in ("L", "RGB"):
        with contextlib.suppress(Exception):  # a processor refuses images in its own ways
            outputs = np.stack([_process(processor, grey, mode) for grey in GREYS])
            size = (int(outputs.shape[2]), int(outputs.shape[3]))
            middle = outputs[:, :, size[0] // 2, size[1] // 2].astype(np.float64)
            line = _fit_line(np.array(GREYS) / 255, middle[:, 0])
            if line is not None and np.ptp(middle, axis=1).max() <= TOLERANCE * line[0]:
                slope, offset = line
                return Processing(size, 1, _round((-offset / slope,)), _round((1 / slope,)))
    raise _refuse(shown)


def _refuse(shown: str) -> BadInput:
    return BadInput(
        f"the image processor of {shown} does more than scale each channel; say --size, --channels, --mean and --std "
        "with a --factory of your own"
    )


def _process(processor: Any, colour: int | tuple[int, int, int], mode: str = "RGB") -> np.ndarray[Any, Any]:
    if mode == "RGB" and isinstance(colour, int):
        colour = (colour, colour, colour)
    values = processor(images=Image.new(mode, (SIDE, SIDE), colour), return_tensors="np")["pixel_values"]
    array = np.asarray(values)
    if array.ndim != 4 or array.shape[0] != 1:
        raise BadInput(f"the image processor makes {array.shape} of one image; expected (1, channels, height, width)")
    return array[0]


def _fit_line(asked: np.ndarray[Any, Any], answered: np.ndarray[Any, Any]) -> tuple[float, float] | None:
    """Slope and offset of the line through the answers; None where they do not lie on a rising one."""
    slope, offset = np.polyfit(asked, answered, 1)
    off = np.abs(slope * asked + offset - answered).max()
    return (float(slope), float(offset)) if slope > 0 and off <= TOLERANCE * slope else None


def _round(values: tuple[float, ...]) -> tuple[float, ...]:
    """Records have few digits; what single precision added to them is taken off, and equal values are one."""
    rounded = tuple(float(f"{value:.6g}") + 0.0 for value in values)
    return rounded[:1] if len(set(rounded)) == 1 else rounded
