"""The figures of study 1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from phosphene.studies.drawing import (
    Style,
    Tile,
    add_title,
    draw_intervals,
    draw_reference_line,
    draw_tiles,
    save_figure,
    split_into_rows,
)
from phosphene.studies.estimates import Estimate, estimate_mean
from phosphene.studies.folder import Figure, Part
from phosphene.studies.mislead.cases import (
    ALL,
    list_agnostic,
    list_class_correlations,
    list_excess,
    list_outlined,
    list_photographs,
    list_shift_correlations,
)
from phosphene.studies.mislead.experiment import Results, Settings
from phosphene.studies.mislead.stamps import measure_energy
from phosphene.studies.words import AGNOSTIC, shorten_model

FIGURES = {
    "example": Figure(
        "example",
        "One photograph, explained twice",
        "Why does the model predict A for the photograph, and why, with the stamp on it, B? The outline is that of A’s object, the share how "
        "much of the heat lies inside. The cause of the second prediction is the stamp (shown 12 times stronger, and where it is strong); "
        "the last picture is the input-agnostic map of B, computed without any photograph.",
    ),
    "object": Figure(
        "object",
        "Explaining B: how much of the heat lies on the object of A?",
        "Share of the heat for B on A’s object after the stamp: minus the share of the heat for A before it (left; 0: as much on the object "
        "as before), minus the share of the stamp’s energy there (middle), minus the effect of the stamp’s half on the object on the logit "
        "of B (right; 0 in both: the heat lies where the cause does). Mean over photographs and classes where the stamp worked, with 95% "
        "intervals.",
    ),
    "maps": Figure(
        "maps",
        "The same classes, from the model alone",
        "Maps of the classes B, computed without any photograph: how the model represents B.",
    ),
    "classes": Figure(
        "classes",
        "How different are the explanations of two classes?",
        "Rank correlation between heat maps of two classes that are both absent from the photograph, on the clean photograph; 1: the same "
        "map for both classes. For input-agnostic maps: between the maps of two classes, and the similarity of their pictures to another "
        "model.",
    ),
    "shift": Figure(
        "shift",
        "Only a constant changes, added to the image and subtracted in the network",
        "Rank correlation between the heat before and after; 1: unchanged. The input-agnostic map is estimated anew: its objects are "
        "elsewhere, as with every seed, and similar to another model.",
    ),
}

PANELS = (
    ("own_inside", "the heat for A\nbefore the stamp", "as before"),
    ("cause_inside", "the stamp’s\nenergy there", "as the cause"),
    ("effect_inside", "the stamp’s\neffect there", "as the cause"),
)

# Rows of the input-agnostic map below those of the methods, with the key of their numbers.
CLASS_ROWS = {AGNOSTIC: "classes", "pictures of two classes": "alike classes", "pictures of two seeds": "alike seeds"}
SHIFT_ROWS = {
    AGNOSTIC: "shift",
    "two seeds of the map": "seeds",
    "pictures of the map": "alike shift",
    "pictures of two seeds": "alike seeds",
}


def draw_figures(results: Sequence[Results], settings: Settings, out: Path) -> list[Figure]:
    """Draw what there is to show into `out`."""
    methods = settings.methods
    drawings: dict[str, tuple[tuple[float, float], Callable[[Any, Style], None]]] = {
        "example": (
            (8.6, 11.4),
            lambda figure, style: draw_tiles(figure, list_example(results[0], methods), style, 10),
        ),
        "object": ((9.6, 5.6), lambda figure, style: _draw_object(figure, style, results, methods)),
        "maps": ((8.6, 6.4), lambda figure, style: draw_tiles(figure, _list_maps(results[0], settings), style)),
        "classes": ((7.5, 5.6), lambda figure, style: _draw_classes(figure, style, results, methods)),
        "shift": ((7.5, 5.8), lambda figure, style: _draw_shift(figure, style, results, methods)),
    }
    if not list_outlined(results):
        del drawings["object"]
    for name, (size, draw) in drawings.items():
        save_figure(out, name, size, draw)
    return [FIGURES[name] for name in drawings]


def list_example(result: Results, methods: Sequence[str]) -> list[Sequence[Tile]]:
    """One pair: of the photographs predicted as B, the one with the highest probability of A before."""
    part, row = _choose_example(result)
    heads = _list_example_heads(part, row)
    heats = [tile for name in methods for tile in _list_method_heats(part, row, name)]
    return split_into_rows([*heads, *heats, *_list_example_maps(result, part, row)], 4)


def _choose_example(result: Results) -> tuple[Part, int]:
    fooled = [
        (part, row) for part in result.photographs for row, pair in enumerate(part.numbers["pairs"]) if pair["fooled"]
    ]
    return max(fooled, key=lambda one: one[0].numbers["sure"], default=(result.photographs[0], 0))


def _list_example_heads(part: Part, row: int) -> list[Tile]:
    """The photograph, the stamp, the stamped photograph, and the stamp's energy."""
    pair, region, photograph = part.numbers["pairs"][row], part.tensors.get("region"), part.tensors["photograph"]
    stamped = part.tensors["stamped"][row]
    stamp = stamped - photograph
    return [
        Tile(f"A: {part.numbers['own']}", photograph, region),
        Tile("the stamp, the cause\n(12 times stronger)", stamp * 12 + 0.5),
        Tile(f"stamped, {'now' if pair['fooled'] else 'not'} B: {pair['asked']}", stamped),
        _make_heat_tile("the stamp’s energy", measure_energy(stamp), region, pair.get("cause_inside")),
    ]


def _list_method_heats(part: Part, row: int, name: str) -> list[Tile]:
    """The heats of a method for A on the clean photograph, and for B on the stamped one."""
    region, heats, pairs = part.tensors.get("region"), part.tensors[name], part.numbers["pairs"]
    numbers = pairs[row]["methods"][name]
    return [
        _make_heat_tile(f"{name}: why A?", heats[0], region, numbers.get("own_inside")),
        _make_heat_tile(f"{name}: why B?", heats[1 + len(pairs) + row], region, numbers.get("inside")),
    ]


def _list_example_maps(result: Results, part: Part, row: int) -> list[Tile]:
    """The importance of the input-agnostic map of B, and its picture."""
    tensors, inside = result.maps.tensors, result.maps.numbers["inside"].get(part.numbers["photograph"])
    share = None if inside is None else inside[row]
    return [
        _make_heat_tile("agnostic map: what is B?", tensors["evidence"][row], part.tensors.get("region"), share),
        Tile("its picture,\nno photograph used", tensors["pictures"][row]),
    ]


def _make_heat_tile(title: str, heat: Tensor, region: Tensor | None, inside: float | None) -> Tile:
    return Tile(f"{title}\n{inside:.0%} on A’s object" if inside is not None else title, heat, region)


def _list_maps(result: Results, settings: Settings) -> list[Sequence[Tile]]:
    pairs = zip(settings.classes, result.maps.tensors["pictures"], strict=True)
    return split_into_rows([Tile(name, picture) for name, picture in pairs], 3)


def _draw_object(figure: Any, style: Style, results: Sequence[Results], methods: Sequence[str]) -> None:
    axes = figure.subplots(1, 3, sharey=True)
    names = [*methods, ALL, AGNOSTIC]
    for axis, (yardstick, words, zero) in zip(axes, PANELS, strict=True):
        series = [(shorten_model(one.model), _estimate_excess(one, names, yardstick)) for one in results]
        draw_intervals(axis, names, series, style)
        draw_reference_line(axis, style, 0.0, zero)
        axis.set_xlabel(f"− {words}")
    add_title(figure, axes[0], "Heat for B on A’s object, after the stamp …")


def _estimate_excess(result: Results, names: Sequence[str], yardstick: str) -> list[Estimate]:
    """Excess of each method over a yardstick; a map that uses no photograph has no heat before the stamp."""
    pairs = list_outlined([result])
    clusters = list_photographs(pairs)
    estimates = []
    for name in names:
        missing = name == AGNOSTIC and yardstick == "own_inside"
        estimates.append(estimate_mean([] if missing else list_excess(pairs, name, yardstick), clusters))
    return estimates


def _draw_classes(figure: Any, style: Style, results: Sequence[Results], methods: Sequence[str]) -> None:
    axis = figure.subplots()
    _draw_correlations(axis, style, results, methods, list_class_correlations, CLASS_ROWS)
    draw_reference_line(axis, style, 0.0, "nothing in common")
    draw_reference_line(axis, style, 1.0, "the same")
    axis.set_xlabel("correlation between the explanations of two classes")
    add_title(figure, axis, "Explaining another absent class, how similar is the heat?")


def _draw_shift(figure: Any, style: Style, results: Sequence[Results], methods: Sequence[str]) -> None:
    axis = figure.subplots()
    _draw_correlations(axis, style, results, methods, list_shift_correlations, SHIFT_ROWS)
    draw_reference_line(axis, style, 1.0, "unchanged")
    axis.set_xlabel("correlation before and after the shift")
    add_title(figure, axis, "A constant is added to every image and subtracted in the network")


def _draw_correlations(
    axis: Any,
    style: Style,
    results: Sequence[Results],
    methods: Sequence[str],
    list_correlations: Callable[[Results, str], list[float]],
    agnostic_rows: dict[str, str],
) -> None:
    """A row a method, then those of the input-agnostic map."""
    series = []
    for result in results:
        estimates = [estimate_mean(list_correlations(result, name)) for name in methods]
        estimates += [estimate_mean(list_agnostic([result], key)) for key in agnostic_rows.values()]
        series.append((shorten_model(result.model), estimates))
    draw_intervals(axis, [*methods, *agnostic_rows], series, style)
