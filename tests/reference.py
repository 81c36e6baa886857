"""One iteration of the method in NumPy loops, slow and obvious, for a linear classifier whose gradient is known by hand.

It shares no code with `phosphene`: the draw is given, everything after it is written out again, in float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Setting:
    weight: Array  # (K, C, H, W) of the linear model
    mean: float
    std: float
    target: int
    score: str
    composition: str
    geometry: str
    radius: float
    step: float
    gain: float = 0.25
    falloff: float = 1.0
    colour: tuple[float, float] = (0.5, 0.3)
    fast: float = 0.9
    slow: float = 0.999
    shared: bool = False  # one second moment for the whole map


@dataclass
class State:
    coefficients: Array
    first: Array
    second: Array
    count: int = 0


def start(setting: Setting) -> State:
    channels, height, width = setting.weight.shape[1:]
    pixel = setting.geometry == "pixel"
    zero = np.zeros((channels, height, width) if pixel else (channels, height, width // 2 + 1, 2))
    return State(zero, zero.copy(), zero.copy())


def iterate(state: State, samples: Array, views: Array | None, setting: Setting) -> State:
    """Nudge, accumulate, project: `samples` (n, C, H, W), `views` (n, 2, 3)."""
    m = decode(state.coefficients, setting)
    gradient = np.zeros_like(m)
    for k, sample in enumerate(samples):
        placed = m if views is None else place(m, views[k])
        by_placed = composed_slope(sample, placed, setting.composition) * -score_slope(sample, placed, setting)
        gradient += (by_placed if views is None else place_back(by_placed, views[k])) / len(samples)
    g = decode_back(gradient, setting)
    count = state.count + 1
    first = setting.fast * state.first + (1 - setting.fast) * g
    second = setting.slow * state.second + (1 - setting.slow) * g**2
    corrected_first = first / (1 - setting.fast**count)
    corrected_second = second / (1 - setting.slow**count)
    if setting.shared:
        corrected_second = np.full_like(second, corrected_second.mean())
    moved = state.coefficients - setting.step * corrected_first / (np.sqrt(corrected_second) + 1e-12)
    return State(project(moved, setting), first, second, count)


def composed(sample: Array, placed: Array, composition: str) -> Array:
    if composition == "clip":
        return np.minimum(np.maximum(sample + placed, 0), 1)
    kept = np.minimum(np.maximum(sample, 1 / 256), 1 - 1 / 256)
    return 1 / (1 + np.exp(-(np.log(kept / (1 - kept)) + placed)))


def composed_slope(sample: Array, placed: Array, composition: str) -> Array:
    if composition == "clip":
        return ((sample + placed >= 0) & (sample + placed <= 1)).astype(float)
    shown = composed(sample, placed, composition)
    return shown * (1 - shown)


def score_slope(sample: Array, placed: Array, setting: Setting) -> Array:
    """∂s/∂(x ⊕ τm): the row of the class, less the mean row under the softmax where the score is a log-probability."""
    image = (composed(sample, placed, setting.composition) - setting.mean) / setting.std
    logits = [float((row * image).sum()) for row in setting.weight]
    slope = setting.weight[setting.target].astype(float)
    if setting.score == "log_probability":
        exponentials = [math.exp(z - max(logits)) for z in logits]
        for share, row in zip(exponentials, setting.weight, strict=True):
            slope = slope - share / sum(exponentials) * row
    return slope / setting.std


def corners(view: Array, height: int, width: int):
    """(y, x) of the placed map → the four (y', x', weight) of the map it is read from, corner for corner."""
    for y in range(height):
        for x in range(width):
            u, v = (2 * x + 1) / width - 1, (2 * y + 1) / height - 1
            from_u = view[0, 0] * u + view[0, 1] * v + view[0, 2]
            from_v = view[1, 0] * u + view[1, 1] * v + view[1, 2]
            px, py = ((from_u + 1) * width - 1) / 2, ((from_v + 1) * height - 1) / 2
            left, top = math.floor(px), math.floor(py)
            for yy, share_y in ((top, 1 - (py - top)), (top + 1, py - top)):
                for xx, share_x in ((left, 1 - (px - left)), (left + 1, px - left)):
                    if 0 <= yy < height and 0 <= xx < width:
                        yield y, x, yy, xx, share_y * share_x


def place(m: Array, view: Array) -> Array:
    placed = np.zeros_like(m)
    for y, x, yy, xx, share in corners(view, *m.shape[1:]):
        placed[:, y, x] += share * m[:, yy, xx]
    return placed


def place_back(gradient: Array, view: Array) -> Array:
    """The transpose of `place`."""
    back = np.zeros_like(gradient)
    for y, x, yy, xx, share in corners(view, *gradient.shape[1:]):
        back[:, yy, xx] += share * gradient[:, y, x]
    return back


def waves(setting: Setting):
    """Each coefficient's index with the map it decodes to: a wave in one colour axis, weighted by 1/|frequency|^falloff."""
    channels, height, width = setting.weight.shape[1:]
    y, x = np.arange(height)[:, None], np.arange(width)[None, :]
    for axis in range(channels):
        colour = colours(setting.colour)[axis] if channels == 3 else np.eye(channels)[axis]
        for row in range(height):
            for column in range(width // 2 + 1):
                vertical = (row if row < (height + 1) // 2 else row - height) / height
                frequency = max(math.hypot(vertical, column / width), 1 / max(height, width))
                stands_for = 1 if column == 0 or 2 * column == width else 2
                size = setting.gain * stands_for / frequency**setting.falloff / math.sqrt(height * width)
                angle = 2 * math.pi * (row * y / height + column * x / width)
                for part, wave in enumerate((np.cos(angle), -np.sin(angle))):
                    yield (axis, row, column, part), size * colour[:, None, None] * wave


def colours(strength: tuple[float, float]) -> list[Array]:
    brightness, red_blue, green_magenta = np.array([1, 1, 1]), np.array([1, 0, -1]), np.array([1, -2, 1])
    return [
        brightness / np.sqrt(3),
        strength[0] * red_blue / np.sqrt(2),
        strength[1] * green_magenta / np.sqrt(6),
    ]


def decode(coefficients: Array, setting: Setting) -> Array:
    if setting.geometry == "pixel":
        return coefficients
    return sum(coefficients[index] * wave for index, wave in waves(setting))


def decode_back(gradient: Array, setting: Setting) -> Array:
    """The transpose of `decode`."""
    if setting.geometry == "pixel":
        return gradient
    back = start(setting).coefficients
    for index, wave in waves(setting):
        back[index] = (gradient * wave).sum()
        if abs(back[index]) < 1e-9:  # what no real image has: the imaginary part of the mean
            back[index] = 0
    return back


def project(coefficients: Array, setting: Setting) -> Array:
    total = 0.0
    for index, value in np.ndenumerate(coefficients):
        doubled = setting.geometry == "spectral" and index[2] > 0 and 2 * index[2] != setting.weight.shape[3]
        total += (2 if doubled else 1) * value**2
    norm = math.sqrt(total)
    return coefficients if norm <= setting.radius else coefficients * (setting.radius / norm)
