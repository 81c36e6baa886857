"""Drawing for the studies: each figure twice, for daylight and for the night, in the colours of the report."""

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
from phosphene.studies.measures import Estimate

DOTS_AN_INCH = 130


@dataclass(frozen=True)
class Style:
    """Colours of one theme; `hues` tell series apart, also for the colour-blind."""

    ground: str
    text: str
    quiet: str
    line: str
    hues: tuple[str, ...]
    outline: str = "#39d0ff"  # on pictures and heats alike: no heat is blue


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


@dataclass(frozen=True)
class Tile:
    """A titled picture: `(C, H, W)` in [0,1] as it is, or a heat `(H, W)` in inferno, with a region outlined on it."""

    title: str
    picture: Tensor
    outline: Tensor | None = None


def in_rows(tiles: Sequence[Tile], columns: int) -> list[Sequence[Tile]]:
    return [tiles[start : start + columns] for start in range(0, len(tiles), columns)]


def grid(figure: Any, rows: Sequence[Sequence[Tile]], style: Style, title_size: float = 11) -> None:
    """Tiles in rows; where a row is shorter than the longest its end stays empty."""
    axes = figure.subplots(len(rows), max(map(len, rows)), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for line, row in zip(axes, rows, strict=True):
        for axis, tile in zip(line, row, strict=False):
            axis.set_title(tile.title, fontsize=title_size)
            _lay(axis, tile, style)


def _lay(axis: Any, tile: Tile, style: Style) -> None:
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


def whiskers(
    axis: Any, names: Sequence[str], series: Sequence[tuple[str, Sequence[Estimate]]], style: Style,
    cases: Sequence[Sequence[Sequence[float]]] = (),
) -> None:  # fmt: skip
    """Means with their intervals, a line a name from the top, a colour a series; `cases` are faint dots behind."""
    for number, (label, estimates) in enumerate(series):
        places = np.arange(len(names)) + (number - (len(series) - 1) / 2) * 0.26
        means = [one.mean for one in estimates]
        reach = [[one.mean - one.low for one in estimates], [one.high - one.mean for one in estimates]]
        axis.errorbar(means, places, xerr=np.clip(reach, 0, None), fmt="o", markersize=6, elinewidth=2, label=label,
                      color=style.hues[number])  # fmt: skip
        for place, values in zip(places, cases[number] if cases else (), strict=False):
            axis.plot(values, [place] * len(values), "o", markersize=4, alpha=0.3, color=style.hues[number],
                      markeredgewidth=0, zorder=1)  # fmt: skip
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.grid(axis="x", color=style.line)
    axis.set_axisbelow(True)


def mark(axis: Any, style: Style, place: float, words: str) -> None:
    """A dashed line across all rows, with what it means at its head."""
    axis.axvline(place, color=style.quiet, linewidth=1.2, linestyle="--")
    axis.annotate(words, (place, -0.42), xytext=(4, 0), textcoords="offset points", fontsize=10, color=style.quiet)


def entitle(figure: Any, axis: Any, title: str, legend: str = "lower") -> None:
    """What the figure shows above it, its series at the `legend` edge."""
    figure.suptitle(title, x=0.01, horizontalalignment="left")
    figure.legend(*axis.get_legend_handles_labels(), loc=f"outside {legend} right", ncols=4)


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
