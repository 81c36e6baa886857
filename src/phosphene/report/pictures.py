"""Pictures of finished maps: heat, overlay, signed map, development, contact sheet, trace.

Everything comes from an artifact's tensors; nothing here knows a model. Pictures of other than 1 or 3 channels are
shown as the mean of their channels.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from phosphene.core.images import to_image
from phosphene.runs.saliency import SaliencyMap

GIF_FRAME, GIF_LAST = 140, 2400  # milliseconds: the finished picture is what one came for
PIXELS_COUNT_BELOW = 96  # a smaller side is a grid of pixels to look at, not a photograph to smooth
DIM = 0.45  # brightness that is left of the picture under an overlay

SHEET, NAME, NUMBER = (21, 23, 27), (236, 238, 241), (158, 166, 176)  # night, caption, quiet caption


def heat(importance: Tensor) -> Image.Image:
    """Importance `(H, W)` in [0,1] in matplotlib's inferno: black is none, pale yellow the most."""
    return to_image(_coloured(importance, "inferno"))


def overlay(importance: Tensor, picture: Tensor) -> Image.Image:
    """Importance `(H, W)` as glow over the dimmed grey picture `(C, H, W)`: what is there, and what of it counts."""
    grey = picture.mean(dim=0).clamp(0, 1) * DIM
    opacity = importance.clamp(0, 1).sqrt()
    return to_image(_coloured(0.25 + 0.75 * importance, "inferno") * opacity + grey * (1 - opacity))


def signed(saliency: Tensor) -> Image.Image:
    """The map `(C, H, W)` as the mean of its channels: red brightens, blue darkens, white leaves alone."""
    plane = saliency.mean(dim=0)
    reach = plane.abs().flatten().quantile(0.99).clamp(min=1e-12)  # a few extreme pixels must not pale all others
    return to_image(_coloured((plane / reach).clamp(-1, 1) / 2 + 0.5, "RdBu_r"))


def strip(development: Tensor, side: int = 96) -> Image.Image:
    """Frames `(frames, C, H, W)` uint8 side by side from first to last, each at least a grid of `side` pixels wide."""
    frames = [scaled(frame, side) for frame in _frames(development)]
    width, height, gap = frames[0].width, frames[0].height, max(1, frames[0].width // 32)
    canvas = Image.new("RGBA", ((width + gap) * len(frames) - gap, height))
    for place, frame in enumerate(frames):
        canvas.paste(frame.convert("RGBA"), (place * (width + gap), 0))
    return canvas


def gif_bytes(development: Tensor, side: int = 224) -> bytes:
    """The frames `(frames, C, H, W)` uint8 as an endless animated GIF that rests on the last."""
    frames = [scaled(frame, side).convert("RGB") for frame in _frames(development)]
    durations = [GIF_FRAME] * (len(frames) - 1) + [GIF_LAST]
    stream = io.BytesIO()
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)
    return stream.getvalue()


def contact_sheet(maps: Sequence[SaliencyMap], columns: int, side: int = 224, refined: bool = True) -> Image.Image:
    """The maps' pictures in rows of `columns`, under each its concept and how sure the model is of the bare picture."""
    rows, gap, caption = math.ceil(len(maps) / columns), side // 14, side * 2 // 7
    cell = (side + gap, side + caption)
    sheet = Image.new("RGB", (columns * cell[0] + gap, rows * cell[1] + gap), SHEET)
    for place, saliency in enumerate(maps):
        corner = (gap + place % columns * cell[0], gap + place // columns * cell[1])
        picture = saliency.picture if refined else saliency.raw_picture
        sheet.paste(scaled(to_image(picture), side).convert("RGB").resize((side, side)), corner)
        _caption(sheet, saliency, "top5_refined" if refined else "top5", (corner[0], corner[1] + side), side)
    return sheet


def sparkline(trace: Sequence[float], width: int = 320, height: int = 64) -> str:
    """The score of each iteration as inline SVG in the colour of the text around it; empty without two scores."""
    values = [value for value in trace if math.isfinite(value)]
    if len(values) < 2:
        return ""
    low, span = min(values), max(max(values) - min(values), 1e-12)
    points = " ".join(f"{width * place / (len(values) - 1):.1f},{height - 3 - (height - 6) * (value - low) / span:.1f}"
                      for place, value in enumerate(values))  # fmt: skip
    return (
        f'<svg class="spark" viewBox="0 0 {width} {height}" preserveAspectRatio="none" role="img" '
        f'aria-label="score of each iteration"><polygon points="0,{height} {points} {width},{height}"/>'
        f'<polyline points="{points}" vector-effect="non-scaling-stroke"/></svg>'
    )


def scaled(image: Image.Image, side: int) -> Image.Image:
    """The image with `side` as its larger side: few pixels enlarged as squares, many resampled."""
    factor = side / max(image.size)
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Image.Resampling.NEAREST if is_pixel_grid(image) else Image.Resampling.LANCZOS)


def is_pixel_grid(image: Image.Image) -> bool:
    """Whether the image is so small that its pixels should stay visible."""
    return max(image.size) < PIXELS_COUNT_BELOW


def _coloured(values: Tensor, name: str) -> Tensor:
    """`(H, W)` in [0,1] → `(3, H, W)` in [0,1] by one of matplotlib's perceptual colour maps."""
    from matplotlib import colormaps

    shades = np.asarray(colormaps[name](values.detach().clamp(0, 1).cpu().numpy()))
    return torch.from_numpy(shades[..., :3]).permute(2, 0, 1).float()


def _frames(development: Tensor) -> list[Image.Image]:
    return [to_image(frame.float() / 255) for frame in development]


def _caption(sheet: Image.Image, saliency: SaliencyMap, scored: str, corner: tuple[int, int], side: int) -> None:
    draw, size = ImageDraw.Draw(sheet), side // 14
    draw.text((corner[0], corner[1] + size // 2), _fitting(saliency.concept, side, size), NAME, _font(size))
    for best in saliency.scores.get(scored, [])[:1]:
        seen = f"seen as {best['name']}, {best['probability']:.1%}"
        draw.text((corner[0], corner[1] + 2 * size), _fitting(seen, side, size * 4 // 5), NUMBER, _font(size * 4 // 5))


def _fitting(text: str, width: int, size: int) -> str:
    """The text, cut with an ellipsis where it is wider than `width`."""
    cut = text
    while _font(size).getlength(cut) > width and len(cut) > 2:
        cut = cut[:-2].rstrip() + "…"
    return cut


def _font(size: int) -> ImageFont.FreeTypeFont:
    return cast(ImageFont.FreeTypeFont, ImageFont.load_default(size))
