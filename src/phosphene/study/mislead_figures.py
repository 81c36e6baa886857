"""The figures of study 1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from phosphene.study.figures import Style, draw, tiles, whiskers
from phosphene.study.folder import Figure, Part
from phosphene.study.measures import estimated
from phosphene.study.mislead import AGNOSTIC, Findings, Settings
from phosphene.study.mislead_cases import ALL, after_shift, between, cases, excess, of_maps, photographs_of, short

FIGURES = {
    "example": Figure(
        "example", "One photograph, asked twice",
        "Left: why the photograph is called what it is. Right: why, with the stamp on it, it is called B. The cause of the "
        "second answer lies in the stamp, shown 12 times stronger."),
    "object": Figure(
        "object", "Asked “why B?”, how much of the answer lies on the object of A?",
        "Share of the heat for B on A’s object after the stamp: less the share of the heat for A before it (left; 0: as much on "
        "the object as ever), less the share of the stamp’s energy there (middle), less what the stamp’s half on the object does "
        "to the logit of B (right; 0 in both: the heat lies where the cause does). Mean over photographs and classes where the "
        "stamp worked, with 95% intervals."),
    "maps": Figure(
        "maps", "The same question, asked of the model alone",
        "Maps of the classes B, made without any photograph: what the model takes for B."),
    "classes": Figure(
        "classes", "Asked for other things, how different is the answer?",
        "Rank correlation between heat maps of two classes that are both absent from the photograph, on the clean photograph; 1: "
        "the same map whatever is asked. For input-agnostic maps: between the maps of two classes, and how alike their pictures "
        "look to another model."),
    "shift": Figure(
        "shift", "Nothing changes but a constant that is added and taken off again",
        "Rank correlation between the heat before and after; 1: unmoved. The input-agnostic map is made anew: its things stand "
        "elsewhere, as with every seed, and look alike to another model."),
}  # fmt: skip

PANELS = (
    ("own_inside", "the heat for A\nbefore the stamp", "as before"),
    ("cause_inside", "the stamp’s\nenergy there", "as the cause"),
    ("effect_inside", "the stamp’s\neffect there", "as the cause"),
)

Cells = list[list[tuple[str, Tensor | None]]]


def drawn(found: Sequence[Findings], settings: Settings, out: Path) -> list[Figure]:
    """Draw what there is to show into `out`."""
    names = [*settings.methods, AGNOSTIC]
    paints: dict[str, tuple[tuple[float, float], Callable[[Any, Style], None]]] = {
        "example": ((8.6, 9.4), lambda figure, style: tiles(figure, example(found[0], settings), style)),
        "object": ((9.6, 5.6), lambda figure, style: _object(figure, style, found, settings)),
        "maps": ((8.6, 6.4), lambda figure, style: tiles(figure, _pictures(found[0], settings), style)),
        "classes": ((7.5, 5.6), lambda figure, style: _classes(figure, style, found, names)),
        "shift": ((7.5, 5.8), lambda figure, style: _shift(figure, style, found, names)),
    }
    if not cases(found):
        del paints["object"]
    for name, (size, paint) in paints.items():
        draw(out, name, size, paint)
    return [FIGURES[name] for name in paints]


def example(one: Findings, settings: Settings) -> Cells:
    """The pair that is shown: of the photographs that became B, the one of which the model was surest."""
    part, row = _shown(one)
    pair, classes = part.numbers["pairs"][row], len(part.numbers["pairs"])
    stamped = part.tensors["stamped"][row]
    stamp = (stamped - part.tensors["photograph"]) * 12 + 0.5
    cells: list[tuple[str, Tensor | None]] = [
        (f"A: {part.numbers['own']}", part.tensors["photograph"]), ("stamp × 12", stamp),
        (f"{'now' if pair['fooled'] else 'not'} B: {pair['asked']}", stamped), ("object of A", part.tensors.get("region")),
    ]  # fmt: skip
    for name in settings.methods:
        heats = part.tensors[name]
        cells += [(f"{_brief(name)}: why A?", heats[0]), (f"{_brief(name)}: why B?", heats[1 + classes + row])]
    return [cells[start : start + 4] for start in range(0, len(cells), 4)]


def _shown(one: Findings) -> tuple[Part, int]:
    turned = [
        (part, row) for part in one.photographs for row, pair in enumerate(part.numbers["pairs"]) if pair["fooled"]
    ]
    return max(turned, key=lambda shown: shown[0].numbers["sure"], default=(one.photographs[0], 0))


def _pictures(one: Findings, settings: Settings) -> Cells:
    cells: list[tuple[str, Tensor | None]] = list(zip(settings.classes, one.maps.tensors["pictures"], strict=True))
    return [cells[start : start + 3] for start in range(0, len(cells), 3)]


def _object(figure: Any, style: Style, found: Sequence[Findings], settings: Settings) -> None:
    axes = figure.subplots(1, 3, sharey=True)
    names = [*settings.methods, ALL, AGNOSTIC]
    for axis, (yardstick, words, place) in zip(axes, PANELS, strict=True):
        series = []
        for one in found:
            pairs = cases([one])
            known = [name for name in names if name != AGNOSTIC or yardstick != "own_inside"]
            series.append((short(one.model), [
                estimated(excess(pairs, name, yardstick) if name in known else [], photographs_of(pairs)) for name in names
            ]))  # fmt: skip
        whiskers(axis, names, series, style)
        _marked(axis, style, 0.0, place)
        axis.set_xlabel(f"− {words}")
    _titled(figure, axes[0], "Heat for B on A’s object, after the stamp …")


def _classes(figure: Any, style: Style, found: Sequence[Findings], names: Sequence[str]) -> None:
    axis = figure.subplots()
    rows = [*names, "looks of two classes", "looks of two seeds"]
    series = [(short(one.model), [*(estimated(between(one, name)) for name in names[:-1]),
                                  *(estimated(of_maps([one], key)) for key in ("classes", "alike classes", "alike seeds"))])
              for one in found]  # fmt: skip
    whiskers(axis, rows, series, style)
    _marked(axis, style, 0.0, "nothing in common")
    _marked(axis, style, 1.0, "the same")
    axis.set_xlabel("correlation between the answers to two questions")
    _titled(figure, axis, "Asked for another absent class, how alike is the answer")


def _shift(figure: Any, style: Style, found: Sequence[Findings], names: Sequence[str]) -> None:
    axis = figure.subplots()
    rows = [*names, "two seeds of the map", "looks of the map", "looks of two seeds"]
    series = [(short(one.model), [*(estimated(after_shift(one, name)) for name in names[:-1]),
                                  *(estimated(of_maps([one], key)) for key in ("shift", "seeds", "alike shift", "alike seeds"))])
              for one in found]  # fmt: skip
    whiskers(axis, rows, series, style)
    _marked(axis, style, 1.0, "unmoved")
    axis.set_xlabel("correlation before and after the shift")
    _titled(figure, axis, "A constant is added and taken off again")


def _titled(figure: Any, axis: Any, title: str) -> None:
    figure.suptitle(title, x=0.01, horizontalalignment="left")
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower right", ncols=4)


def _marked(axis: Any, style: Style, place: float, words: str) -> None:
    axis.axvline(place, color=style.quiet, linewidth=1.2, linestyle="--")
    axis.annotate(words, (place, -0.42), xytext=(4, 0), textcoords="offset points", fontsize=10, color=style.quiet)


def _brief(name: str) -> str:
    return {"Integrated Gradients": "Int. Grad.", "Guided Grad-CAM": "Guided CAM", "GradientShap": "Grad.Shap"}.get(
        name, name
    )
