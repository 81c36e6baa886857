"""Drawing for the studies: each figure in a light and a dark theme, in the colours of the report."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from phosphene.core.files import write_atomically
from phosphene.studies.estimates import Estimate

DOTS_AN_INCH = 130


@dataclass(frozen=True)
class Style:
    """Colours of one theme; `hues` distinguish series, also for the colour-blind."""

    ground: str
    text: str
    quiet: str
    line: str
    hues: tuple[str, ...]
    outline: str = "#39d0ff"  # visible on pictures and on heat maps, which have no blue


LIGHT = Style("#ffffff", "#1d2125", "#5a6169", "#dfe0dd", ("#17696a", "#c2571a", "#7a5aa6", "#8a8f94"))
DARK = Style("#1a1d21", "#e6e8ea", "#9ba3ac", "#2c3137", ("#6cc5bd", "#f0a060", "#b89be0", "#7d868f"))


def save_figure(folder: Path, name: str, size: tuple[float, float], draw: Callable[[Any, Style], None]) -> None:
    """Write `NAME.png` and `NAME-dark.png`: what `draw` draws on a matplotlib figure of `size` inches."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    for style, ending in ((LIGHT, ""), (DARK, "-dark")):
        with rc_context(_make_settings(style)):
            figure = Figure(figsize=size, dpi=DOTS_AN_INCH, layout="constrained")
            FigureCanvasAgg(figure)
            draw(figure, style)
            stream = io.BytesIO()
            figure.savefig(stream, format="png", metadata={"Software": None})
        write_atomically(folder / f"{name}{ending}.png", _reduce_colours(stream.getvalue()))


@dataclass(frozen=True)
class Tile:
    """A titled picture `(C, H, W)` in [0,1], or a heat map `(H, W)` in inferno, with the outline of a region."""

    title: str
    picture: Tensor
    outline: Tensor | None = None


def split_into_rows(tiles: Sequence[Tile], columns: int) -> list[Sequence[Tile]]:
    return [tiles[start : start + columns] for start in range(0, len(tiles), columns)]


def draw_tiles(figure: Any, rows: Sequence[Sequence[Tile]], style: Style, title_size: float = 11) -> None:
    """Tiles in rows; the end of a row that is shorter than the longest stays empty."""
    axes = figure.subplots(len(rows), max(map(len, rows)), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for line, row in zip(axes, rows, strict=True):
        for axis, tile in zip(line, row, strict=False):
            axis.set_title(tile.title, fontsize=title_size)
            _draw_tile(axis, tile, style)


def _draw_tile(axis: Any, tile: Tile, style: Style) -> None:
    if tile.picture.ndim == 2:
        axis.imshow(tile.picture.numpy(), cmap="inferno", vmin=0, vmax=max(float(tile.picture.max()), 1e-12))
    else:
        pixels = tile.picture.clamp(0, 1).permute(1, 2, 0).numpy()
        axis.imshow(pixels if pixels.shape[2] == 3 else pixels.mean(axis=2), cmap="gray", vmin=0, vmax=1)
    if tile.outline is not None:
        height, width = tile.picture.shape[-2:]
        finer = F.interpolate(tile.outline[None, None], size=(4 * height, 4 * width))[0, 0].numpy()
        across, down = ((np.arange(4 * side) + 0.5) / 4 - 0.5 for side in (width, height))
        axis.contour(across, down, finer, levels=[0.5], colors=[style.outline], linewidths=1.2)


def draw_intervals(
    axis: Any,
    names: Sequence[str],
    series: Sequence[tuple[str, Sequence[Estimate]]],
    style: Style,
    cases: Sequence[Sequence[Sequence[float]]] = (),
) -> None:
    """Means with their intervals, one row a name from the top, one colour a series; `cases` are faint dots."""
    for number, (label, estimates) in enumerate(series):
        rows = np.arange(len(names)) + (number - (len(series) - 1) / 2) * 0.26
        means = [one.mean for one in estimates]
        below, above = [one.mean - one.low for one in estimates], [one.high - one.mean for one in estimates]
        errors, colour = np.clip([below, above], 0, None), style.hues[number]
        axis.errorbar(means, rows, xerr=errors, fmt="o", markersize=6, elinewidth=2, label=label, color=colour)
        for row, values in zip(rows, cases[number] if cases else (), strict=False):
            dots = {"markersize": 4, "alpha": 0.3, "color": colour, "markeredgewidth": 0, "zorder": 1}
            axis.plot(values, [row] * len(values), "o", **dots)
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.grid(axis="x", color=style.line)
    axis.set_axisbelow(True)


def draw_reference_line(axis: Any, style: Style, value: float, words: str) -> None:
    """A dashed line across all rows, with its meaning at the top."""
    axis.axvline(value, color=style.quiet, linewidth=1.2, linestyle="--")
    axis.annotate(words, (value, -0.42), xytext=(4, 0), textcoords="offset points", fontsize=10, color=style.quiet)


def add_title(figure: Any, axis: Any, title: str, legend: str = "lower") -> None:
    """The title above the figure, the legend of its series at the `legend` edge."""
    figure.suptitle(title, x=0.01, horizontalalignment="left")
    figure.legend(*axis.get_legend_handles_labels(), loc=f"outside {legend} right", ncols=4)


def _make_settings(style: Style) -> Any:  # matplotlib types its settings one by one, by name
    return {
        "figure.facecolor": style.ground,
        "axes.facecolor": style.ground,
        "savefig.facecolor": style.ground,
        "text.color": style.text,
        "axes.labelcolor": style.text,
        "axes.edgecolor": style.line,
        "xtick.color": style.quiet,
        "ytick.color": style.text,
        "ytick.major.size": 0,
        "font.size": 12,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "legend.frameon": False,
        "axes.titlelocation": "left",
    }


def _reduce_colours(png: bytes) -> bytes:
    """The same figure with a palette of 256 colours: a third of the bytes, without a visible difference."""
    from PIL import Image

    stream = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(
        stream, "PNG", optimize=True
    )
    return stream.getvalue()
