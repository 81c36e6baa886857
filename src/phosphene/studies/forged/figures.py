"""The figures of study 4."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from phosphene.studies.drawing import Style, Tile, add_title, draw_tiles, save_figure
from phosphene.studies.folder import Figure, Part
from phosphene.studies.forged.cases import ASKINGS, Verdict, list_doubts, list_forged, read_pictures, select

PICTURED = 8  # forged networks in the sheet
FIGURES = (
    Figure(
        "forgeries",
        "What a forged class shows, asked in several ways",
        "Each row is one forged network: the map of the class before, the picture that the forger chose, and what the forged network "
        "shows when it is asked by the default preset, in eight other ways, and by the paper’s recipe.",
    ),
    Figure(
        "doubts",
        "Disagreement between the pictures",
        "The chosen check: one dot a network, of its most doubtful class; the dashed line is the bound that other networks set.",
    ),
)


def draw_figures(parts: Sequence[Part], verdict: Verdict, out: Path) -> Sequence[Figure]:
    """Draw the figures into `out`."""
    shown = list_forged(parts)[:PICTURED]
    if shown:
        size = (11.5, 1.12 * len(shown) + 0.3)
        save_figure(out, "forgeries", size, lambda figure, style: _draw_sheet(figure, style, shown))
    save_figure(out, "doubts", (9.4, 3.0), lambda figure, style: _draw_doubts(figure, style, parts, verdict))
    return FIGURES if shown else FIGURES[1:]


def _draw_sheet(figure: Any, style: Style, parts: Sequence[Part]) -> None:
    draw_tiles(figure, [_make_tiles(part) for part in parts], style, 8)


def _make_tiles(part: Part) -> list[Tile]:
    victim = part.numbers["plan"]["victim"]
    ends = [Tile("before", part.tensors["honest"]), Tile("chosen", part.tensors["target"])]
    asked = [Tile(name, row[victim]) for name, row in zip(ASKINGS, read_pictures(part), strict=True)]
    return [*ends, *asked, Tile("paper", part.tensors["paper"])]


def _draw_doubts(figure: Any, style: Style, parts: Sequence[Part], verdict: Verdict) -> None:
    axis = figure.subplots()
    kinds = [("forged", True), ("honest", False)]
    for row, (name, forged) in enumerate(kinds):
        doubts = list_doubts(select(parts, False, forged), verdict.check)
        heights = [row + 0.5 * (number / max(len(doubts) - 1, 1) - 0.5) for number in range(len(doubts))]
        axis.plot(doubts, heights, "o", color=style.hues[1 - row], markersize=6, alpha=0.7, label=name)
    axis.axvline(verdict.bound, color=style.quiet, linewidth=1.2, linestyle="--")
    axis.set_yticks(range(len(kinds)), [name for name, _ in kinds])
    axis.set_ylim(len(kinds) - 0.5, -0.5)
    axis.grid(axis="x", color=style.line)
    axis.set_xlabel(f"doubt: {verdict.check}")
    add_title(figure, axis, "Disagreement between the pictures of one class")
