"""The figures of study 1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from phosphene.studies.drawing import Style, Tile, draw, entitle, grid, in_rows, mark, whiskers
from phosphene.studies.folder import Figure, Part
from phosphene.studies.measures import Estimate, estimated
from phosphene.studies.mislead.cases import ALL, after_shift, between, cases, excess, of_maps, photographs_of
from phosphene.studies.mislead.experiment import Findings, Settings
from phosphene.studies.mislead.stamps import energy
from phosphene.studies.words import AGNOSTIC, short

FIGURES = {
    "example": Figure(
        "example", "One photograph, asked twice",
        "Why is the photograph called A, and why, with the stamp on it, B? The outline is that of A’s object, the share how much "
        "of the heat lies inside. The cause of the second answer lies in the stamp (shown 12 times stronger, and where it is "
        "strong); the last picture is the input-agnostic map of B, made without any photograph."),
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


def drawn(found: Sequence[Findings], settings: Settings, out: Path) -> list[Figure]:
    """Draw what there is to show into `out`."""
    methods = settings.methods
    paints: dict[str, tuple[tuple[float, float], Callable[[Any, Style], None]]] = {
        "example": ((8.6, 11.4), lambda figure, style: grid(figure, example(found[0], methods), style, 10)),
        "object": ((9.6, 5.6), lambda figure, style: _object(figure, style, found, methods)),
        "maps": ((8.6, 6.4), lambda figure, style: grid(figure, _pictures(found[0], settings), style)),
        "classes": ((7.5, 5.6), lambda figure, style: _classes(figure, style, found, methods)),
        "shift": ((7.5, 5.8), lambda figure, style: _shift(figure, style, found, methods)),
    }
    if not cases(found):
        del paints["object"]
    for name, (size, paint) in paints.items():
        draw(out, name, size, paint)
    return [FIGURES[name] for name in paints]


def example(one: Findings, methods: Sequence[str]) -> list[Sequence[Tile]]:
    """The pair that is shown: of the photographs that became B, the one of which the model was surest."""
    part, row = _shown(one)
    pair, region, photograph = part.numbers["pairs"][row], part.tensors.get("region"), part.tensors["photograph"]
    stamp = part.tensors["stamped"][row] - photograph
    tiles = [
        Tile(f"A: {part.numbers['own']}", photograph, region), Tile("the stamp, the cause\n(12 times stronger)", stamp * 12 + 0.5),
        Tile(f"stamped, {'now' if pair['fooled'] else 'not'} B: {pair['asked']}", part.tensors["stamped"][row]),
        _heat("the stamp’s energy", energy(stamp), region, pair.get("cause_inside")),
    ]  # fmt: skip
    for name in methods:
        heats, of = part.tensors[name], pair["methods"][name]
        tiles += [_heat(f"{name}: why A?", heats[0], region, of.get("own_inside")),
                  _heat(f"{name}: why B?", heats[1 + len(part.numbers["pairs"]) + row], region, of.get("inside"))]  # fmt: skip
    place = one.maps.numbers["inside"].get(part.numbers["photograph"], {row: None})[row]
    tiles += [_heat("agnostic map: what is B?", one.maps.tensors["evidence"][row], region, place),
              Tile("its picture,\nno photograph in it", one.maps.tensors["pictures"][row])]  # fmt: skip
    return in_rows(tiles, 4)


def _heat(title: str, heat: Tensor, region: Tensor | None, inside: float | None) -> Tile:
    return Tile(f"{title}\n{inside:.0%} on A’s object" if inside is not None else title, heat, region)


def _shown(one: Findings) -> tuple[Part, int]:
    turned = [
        (part, row) for part in one.photographs for row, pair in enumerate(part.numbers["pairs"]) if pair["fooled"]
    ]
    return max(turned, key=lambda shown: shown[0].numbers["sure"], default=(one.photographs[0], 0))


def _pictures(one: Findings, settings: Settings) -> list[Sequence[Tile]]:
    return in_rows([Tile(*pair) for pair in zip(settings.classes, one.maps.tensors["pictures"], strict=True)], 3)


def _object(figure: Any, style: Style, found: Sequence[Findings], methods: Sequence[str]) -> None:
    axes = figure.subplots(1, 3, sharey=True)
    names = [*methods, ALL, AGNOSTIC]
    for axis, (yardstick, words, place) in zip(axes, PANELS, strict=True):
        whiskers(axis, names, [(short(one.model), _excesses(one, names, yardstick)) for one in found], style)
        mark(axis, style, 0.0, place)
        axis.set_xlabel(f"− {words}")
    entitle(figure, axes[0], "Heat for B on A’s object, after the stamp …")


def _excesses(one: Findings, names: Sequence[str], yardstick: str) -> list[Estimate]:
    """Over a yardstick; a map that sees no photograph has no heat from before."""
    pairs = cases([one])
    return [estimated([] if name == AGNOSTIC and yardstick == "own_inside" else excess(pairs, name, yardstick),
                      photographs_of(pairs)) for name in names]  # fmt: skip


def _classes(figure: Any, style: Style, found: Sequence[Findings], methods: Sequence[str]) -> None:
    axis = figure.subplots()
    of_map = {AGNOSTIC: "classes", "looks of two classes": "alike classes", "looks of two seeds": "alike seeds"}
    whiskers(axis, [*methods, *of_map], [(short(one.model), _correlations(one, between, methods, of_map)) for one in found],
             style)  # fmt: skip
    mark(axis, style, 0.0, "nothing in common")
    mark(axis, style, 1.0, "the same")
    axis.set_xlabel("correlation between the answers to two questions")
    entitle(figure, axis, "Asked for another absent class, how alike is the answer?")


def _shift(figure: Any, style: Style, found: Sequence[Findings], methods: Sequence[str]) -> None:
    axis = figure.subplots()
    of_map = {AGNOSTIC: "shift", "two seeds of the map": "seeds", "looks of the map": "alike shift",
              "looks of two seeds": "alike seeds"}  # fmt: skip
    whiskers(axis, [*methods, *of_map],
             [(short(one.model), _correlations(one, after_shift, methods, of_map)) for one in found], style)  # fmt: skip
    mark(axis, style, 1.0, "unmoved")
    axis.set_xlabel("correlation before and after the shift")
    entitle(figure, axis, "A constant is added to every image and taken off again")


def _correlations(
    one: Findings, of_method: Callable[[Findings, str], list[float]], methods: Sequence[str], of_map: dict[str, str]
) -> list[Estimate]:
    return [*(estimated(of_method(one, name)) for name in methods),
            *(estimated(of_maps([one], key)) for key in of_map.values())]  # fmt: skip
