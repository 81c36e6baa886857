"""The figures of study 2."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from phosphene.runs.store import file_stem
from phosphene.studies.bias.cases import MISLEADING, SHOWS, TITLES, of_kind, values
from phosphene.studies.bias.experiment import KINDS, SETS
from phosphene.studies.bias.explanations import BY_EXAMPLES, NAMES
from phosphene.studies.drawing import Style, Tile, draw, entitle, grid, mark, whiskers
from phosphene.studies.folder import Figure, Part
from phosphene.studies.measures import estimated
from phosphene.studies.small import mark_region
from phosphene.studies.words import AGNOSTIC

BRIEF = dict(zip(NAMES, ("Int. Gradients", "CAV", "top images", "its evidence"), strict=True))
LEAST = 0.05  # what a logarithmic scale shows of less
PICTURED = 3  # models of each kind in the figure of heat maps

FIGURES = (
    Figure("shown", "Who shows the watermark",
           "How much of the heat lies in the watermark’s region, as a multiple of the region’s share of the image (1: no "
           "more than anywhere; from 2 on, the dashed line, it is said to be shown), on a logarithmic scale: each model a faint "
           "dot, and the means with 95% intervals. Left: the examples are clean. Right: they carry the watermark. An explanation "
           "of the model has one colour right of the line and the other left of it, in both panels."),
    Figure("heats", "The misleading set, model by model",
           "Above, models that use the watermark, explained by clean examples; below, models that ignore it, explained "
           "by watermarked examples. The square is the watermark’s place; × is how much more heat lies in it than if it were "
           "spread evenly. The last two columns are the input-agnostic map: no examples at all."),
)  # fmt: skip
HEADS = {"uses": "These models use the watermark; the examples are clean. Who shows it?",
         "ignores": "These models ignore the watermark; the examples carry it. Who invents it?"}  # fmt: skip


def drawn(parts: Sequence[Part], out: Path) -> Sequence[Figure]:
    """Draw the figures into `out`."""
    draw(out, "shown", (9.4, 5.0), lambda figure, style: _shown(figure, style, parts))
    draw(out, "heats", (9.4, 10.2), lambda figure, style: _heats(figure, style, parts))
    return FIGURES


def _shown(figure: Any, style: Style, parts: Sequence[Part]) -> None:
    axes = figure.subplots(1, 2, sharey=True, sharex=True, gridspec_kw={"wspace": 0.12})
    names = [*BY_EXAMPLES, f"{AGNOSTIC}\n(no examples)"]
    for axis, held in zip(axes, SETS, strict=True):
        cases = [[values(of_kind(parts, kind), name, held) for name in NAMES] for kind in KINDS]
        dots = [[[max(value, LEAST) for value in one] for one in of] for of in cases]
        series = [(TITLES[kind], [estimated(one) for one in of]) for kind, of in zip(KINDS, cases, strict=True)]
        whiskers(axis, names, series, style, dots)
        axis.set_xscale("log")
        axis.set_xticks([0.1, 0.3, 1, 3, 10, 30], ["0.1", "0.3", "1", "3", "10", "30"])
        axis.set_xlim(0.8 * LEAST, 40)
        axis.minorticks_off()
        mark(axis, style, SHOWS, "shows it →")
        axis.set_title(f"explained by {held} examples", fontsize=12)
    figure.supxlabel("heat in the watermark’s region ÷ its share of the image", fontsize=12)
    entitle(figure, axes[0], "Who shows the watermark?", legend="upper")


def _heats(figure: Any, style: Style, parts: Sequence[Part]) -> None:
    for kind, half in zip(KINDS, figure.subfigures(2, 1), strict=True):
        half.suptitle(HEADS[kind], x=0.01, horizontalalignment="left")
        grid(half, [_explained(part, MISLEADING[kind]) for part in of_kind(parts, kind)[:PICTURED]], style, 10)


def _explained(part: Part, held: str) -> list[Tile]:
    """One model: an example, and every explanation with how strongly it shows the watermark."""
    example = part.tensors[f"example-{held}"]
    region = mark_region(example.shape[-1])
    heats = [Tile(f"{brief} {part.numbers['shown'][f'{name}/{held}']:.1f}×", part.tensors[file_stem(f"{name}/{held}")], region)
             for name, brief in BRIEF.items()]  # fmt: skip
    picture = Tile("map", part.tensors["picture"], region)
    return [Tile("an example", example, region), *heats[:-1], picture, heats[-1]]
