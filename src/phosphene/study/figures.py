"""Drawing for the studies: each figure twice, for daylight and for the night, in the colours of the report."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from phosphene.artifact import write_atomically

DOTS_AN_INCH = 130


@dataclass(frozen=True)
class Style:
    """Colours of one theme; `hues` tell series apart, also for the colour-blind."""

    ground: str
    text: str
    quiet: str
    line: str
    hues: tuple[str, ...]


LIGHT = Style("#ffffff", "#1d2125", "#5a6169", "#dfe0dd", ("#17696a", "#c2571a", "#7a5aa6", "#8a8f94"))
DARK = Style("#1a1d21", "#e6e8ea", "#9ba3ac", "#2c3137", ("#6cc5bd", "#f0a060", "#b89be0", "#7d868f"))


def draw(folder: Path, name: str, size: tuple[float, float], paint: Callable[[Any, Style], None]) -> None:
    """Write `NAME.png` and `NAME-dark.png`: what `paint` puts on a matplotlib figure of `size` inches."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    for style, ending in ((LIGHT, ""), (DARK, "-dark")):
        with rc_context(_settings(style)):
            figure = Figure(figsize=size, dpi=DOTS_AN_INCH, layout="constrained")
            FigureCanvasAgg(figure)
            paint(figure, style)
            stream = io.BytesIO()
            figure.savefig(stream, format="png", metadata={"Software": None})
        write_atomically(folder / f"{name}{ending}.png", _fewer_colours(stream.getvalue()))


def tiles(figure: Any, rows: Sequence[Sequence[tuple[str, Tensor | None]]], style: Style) -> None:
    """A grid of titled pictures: `(C, H, W)` in [0,1] as they are, heats `(H, W)` in inferno, None left empty."""
    axes = figure.subplots(len(rows), max(map(len, rows)), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for line, row in zip(axes, rows, strict=True):
        for axis, (title, picture) in zip(line, row, strict=False):
            if picture is not None:
                axis.set_title(title, fontsize=11)
                axis.imshow(*_shown(picture)[:1], **_shown(picture)[1])


def _shown(picture: Tensor) -> tuple[Any, dict[str, Any]]:
    if picture.ndim == 2:
        return picture.numpy(), {"cmap": "inferno", "vmin": 0, "vmax": max(float(picture.max()), 1e-12)}
    pixels = picture.clamp(0, 1).permute(1, 2, 0).numpy()
    return (pixels if pixels.shape[2] == 3 else pixels.mean(axis=2)), {"cmap": "gray", "vmin": 0, "vmax": 1}


def whiskers(
    axis: Any, names: Sequence[str], series: Sequence[tuple[str, Sequence[Any]]], style: Style,
    first: int = 0,
) -> None:  # fmt: skip
    """Means with their intervals, a line a name from top to bottom, a colour a series."""
    for number, (label, estimates) in enumerate(series):
        offset = (number - (len(series) - 1) / 2) * 0.22
        places = np.arange(len(names)) + offset
        means = [one.mean for one in estimates]
        reach = [[one.mean - one.low for one in estimates], [one.high - one.mean for one in estimates]]
        axis.errorbar(means, places, xerr=np.clip(reach, 0, None), fmt="o", markersize=6, elinewidth=2, label=label,
                      color=style.hues[first + number])  # fmt: skip
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.grid(axis="x", color=style.line)
    axis.set_axisbelow(True)


def _settings(style: Style) -> Any:  # matplotlib types its settings by their names, one by one
    return {
        "figure.facecolor": style.ground, "axes.facecolor": style.ground, "savefig.facecolor": style.ground,
        "text.color": style.text, "axes.labelcolor": style.text, "axes.edgecolor": style.line,
        "xtick.color": style.quiet, "ytick.color": style.text, "ytick.major.size": 0, "font.size": 12,
        "axes.spines.top": False, "axes.spines.right": False, "axes.spines.left": False, "legend.frameon": False,
        "axes.titlelocation": "left",
    }  # fmt: skip


def _fewer_colours(png: bytes) -> bytes:
    """The same figure with a palette of 256 colours: a third of the bytes, and nobody sees it."""
    from PIL import Image

    stream = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(
        stream, "PNG", optimize=True
    )
    return stream.getvalue()
