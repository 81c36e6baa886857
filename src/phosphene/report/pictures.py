"""Pictures of a finished map: heat, overlay, signed map, development, trace.

Everything is computed from the artifact's tensors; no model is needed. Pictures of other than 1 or 3 channels are
shown as the mean of their channels.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from phosphene.core.images import to_image

GIF_FRAME, GIF_LAST = 140, 2400  # milliseconds; the last frame, which is the finished picture, stays longest
PIXELS_COUNT_BELOW = 96  # an image with a smaller side is shown as a grid of pixels, not smoothed
DIM = 0.45  # brightness that is left of the picture under an overlay


def render_heat(importance: Tensor) -> Image.Image:
    """Importance `(H, W)` in [0,1] in matplotlib's inferno: black is 0, pale yellow is 1."""
    return to_image(_apply_colours(importance, "inferno"))


def render_overlay(importance: Tensor, picture: Tensor) -> Image.Image:
    """Importance `(H, W)` as heat over the dimmed grey picture `(C, H, W)`."""
    grey = picture.mean(dim=0).clamp(0, 1) * DIM
    opacity = importance.clamp(0, 1).sqrt()
    return to_image(_apply_colours(0.25 + 0.75 * importance, "inferno") * opacity + grey * (1 - opacity))


def render_signed(saliency: Tensor) -> Image.Image:
    """The map `(C, H, W)` as the mean of its channels: red brightens, blue darkens, white is zero."""
    plane = saliency.mean(dim=0)
    limit = plane.abs().flatten().quantile(0.99).clamp(min=1e-12)  # not the maximum: a few extreme pixels pale the rest
    return to_image(_apply_colours((plane / limit).clamp(-1, 1) / 2 + 0.5, "RdBu_r"))


def render_strip(development: Tensor, side: int = 96) -> Image.Image:
    """Frames `(frames, C, H, W)` uint8 side by side from first to last, each with `side` as its larger side."""
    frames = [rescale(frame, side) for frame in _to_frames(development)]
    width, height, gap = frames[0].width, frames[0].height, max(1, frames[0].width // 32)
    canvas = Image.new("RGBA", ((width + gap) * len(frames) - gap, height))
    for place, frame in enumerate(frames):
        canvas.paste(frame.convert("RGBA"), (place * (width + gap), 0))
    return canvas


def gif_bytes(development: Tensor, side: int = 224) -> bytes:
    """The frames `(frames, C, H, W)` uint8 as an endless animated GIF that pauses on the last."""
    frames = [rescale(frame, side).convert("RGB") for frame in _to_frames(development)]
    durations = [GIF_FRAME] * (len(frames) - 1) + [GIF_LAST]
    stream = io.BytesIO()
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)
    return stream.getvalue()


def draw_sparkline(trace: Sequence[float], width: int = 320, height: int = 64) -> str:
    """The score of each iteration as inline SVG in the colour of the text around it; empty without two scores."""
    values = [value for value in trace if math.isfinite(value)]
    if len(values) < 2:
        return ""
    low, span = min(values), max(max(values) - min(values), 1e-12)
    across = [width * place / (len(values) - 1) for place in range(len(values))]
    down = [height - 3 - (height - 6) * (value - low) / span for value in values]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, down, strict=True))
    return (
        f'<svg class="spark" viewBox="0 0 {width} {height}" preserveAspectRatio="none" role="img" '
        f'aria-label="score of each iteration"><polygon points="0,{height} {points} {width},{height}"/>'
        f'<polyline points="{points}" vector-effect="non-scaling-stroke"/></svg>'
    )


def rescale(image: Image.Image, side: int) -> Image.Image:
    """The image with `side` as its larger side: few pixels enlarged as squares, many resampled."""
    factor = side / max(image.size)
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Image.Resampling.NEAREST if is_pixel_grid(image) else Image.Resampling.LANCZOS)


def is_pixel_grid(image: Image.Image) -> bool:
    """Whether the image is so small that its pixels should stay visible."""
    return max(image.size) < PIXELS_COUNT_BELOW


def _apply_colours(values: Tensor, name: str) -> Tensor:
    """`(H, W)` in [0,1] → `(3, H, W)` in [0,1] by one of matplotlib's colour maps."""
    from matplotlib import colormaps

    shades = np.asarray(colormaps[name](values.detach().clamp(0, 1).cpu().numpy()))
    return torch.from_numpy(shades[..., :3]).permute(2, 0, 1).float()


def _to_frames(development: Tensor) -> list[Image.Image]:
    return [to_image(frame.float() / 255) for frame in development]
