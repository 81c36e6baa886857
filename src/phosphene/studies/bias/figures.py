"""The figures of study 2."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from phosphene.runs.store import file_stem
from phosphene.studies.bias.cases import MISLEADING, SHOWS, TITLES, list_heat, select_kind
from phosphene.studies.bias.experiment import KINDS, SETS
from phosphene.studies.bias.explanations import BY_EXAMPLES, NAMES
from phosphene.studies.drawing import (
    Style,
    Tile,
    add_title,
    draw_intervals,
    draw_reference_line,
    draw_tiles,
    save_figure,
)
from phosphene.studies.estimates import estimate_mean
from phosphene.studies.folder import Figure, Part
from phosphene.studies.small_models import make_mark_region
from phosphene.studies.words import AGNOSTIC

BRIEF = dict(zip(NAMES, ("Int. Gradients", "CAV", "top images", "its evidence"), strict=True))
LEAST = 0.05  # smaller values are drawn at this value of the logarithmic scale
PICTURED = 3  # models of each kind in the figure of heat maps
TICKS = (0.1, 0.3, 1, 3, 10, 30)

FIGURES = (
    Figure(
        "shown",
        "Who shows the watermark",
        "How much of the heat lies in the watermark’s region, as a multiple of the region’s share of the image (1: as if spread "
        "evenly; from 2 on, the dashed line, it counts as shown), on a logarithmic scale: each model a faint dot, and the means "
        "with 95% intervals. Left: the examples are clean. Right: they carry the watermark. For an explanation of the model, one "
        "colour is right of the line and the other left of it, in both panels.",
    ),
    Figure(
        "heats",
        "The misleading set, model by model",
        "Above, models that use the watermark, explained by clean examples; below, models that ignore it, explained by watermarked "
        "examples. The square is the watermark’s place; × is how much more heat lies in it than if it were spread evenly. The last "
        "two columns are the input-agnostic map, which uses no examples.",
    ),
)
HEADS = {
    "uses": "These models use the watermark; the examples are clean. Who shows it?",
    "ignores": "These models ignore the watermark; the examples carry it. Who invents it?",
}


def draw_figures(parts: Sequence[Part], out: Path) -> Sequence[Figure]:
    """Draw the figures into `out`."""
    save_figure(out, "shown", (9.4, 5.0), lambda figure, style: _draw_shown(figure, style, parts))
    save_figure(out, "heats", (9.4, 10.2), lambda figure, style: _draw_heats(figure, style, parts))
    return FIGURES


def _draw_shown(figure: Any, style: Style, parts: Sequence[Part]) -> None:
    axes = figure.subplots(1, 2, sharey=True, sharex=True, gridspec_kw={"wspace": 0.12})
    for axis, example_set in zip(axes, SETS, strict=True):
        _draw_panel(axis, style, parts, example_set)
    figure.supxlabel("heat in the watermark’s region ÷ its share of the image", fontsize=12)
    add_title(figure, axes[0], "Who shows the watermark?", legend="upper")


def _draw_panel(axis: Any, style: Style, parts: Sequence[Part], example_set: str) -> None:
    """Heat with one example set, by explanation and kind of model."""
    series, dots = [], []
    for kind in KINDS:
        values = [list_heat(select_kind(parts, kind), name, example_set) for name in NAMES]
        series.append((TITLES[kind], [estimate_mean(one) for one in values]))
        dots.append([[max(value, LEAST) for value in one] for one in values])
    draw_intervals(axis, [*BY_EXAMPLES, f"{AGNOSTIC}\n(no examples)"], series, style, dots)
    axis.set_xscale("log")
    axis.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
    axis.set_xlim(0.8 * LEAST, 40)
    axis.minorticks_off()
    draw_reference_line(axis, style, SHOWS, "shows it →")
    axis.set_title(f"explained by {example_set} examples", fontsize=12)


def _draw_heats(figure: Any, style: Style, parts: Sequence[Part]) -> None:
    for kind, half in zip(KINDS, figure.subfigures(2, 1), strict=True):
        half.suptitle(HEADS[kind], x=0.01, horizontalalignment="left")
        rows = [_make_tiles(part, MISLEADING[kind]) for part in select_kind(parts, kind)[:PICTURED]]
        draw_tiles(half, rows, style, 10)


def _make_tiles(part: Part, example_set: str) -> list[Tile]:
    """One model: an example, and every explanation with how strongly it shows the watermark."""
    example = part.tensors[f"example-{example_set}"]
    region = make_mark_region(example.shape[-1])
    heats = []
    for name, brief in BRIEF.items():
        key = f"{name}/{example_set}"
        heats.append(Tile(f"{brief} {part.numbers['shown'][key]:.1f}×", part.tensors[file_stem(key)], region))
    picture = Tile("map", part.tensors["picture"], region)
    return [Tile("an example", example, region), *heats[:-1], picture, heats[-1]]
