"""The figures of study 4."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from phosphene.studies.drawing import Tile, draw_tiles, save_figure
from phosphene.studies.folder import Figure
from phosphene.studies.signature.experiment import Results

OWN = Figure(
    "signatures",
    "Clean twin and backdoored network",
    "A row an attack. From the left: a training image with the trigger; the mean change that it makes, around grey; the map of the target by "
    "the clean twin and by the backdoored network; the map of another class by both.",
)
PUBLIC = Figure(
    "public",
    "Networks that others trained",
    "The maps of all classes, a row a network; the target of its backdoor is named.",
)
OTHER = 3  # classes after the target


def draw_figures(results: Results, out: Path, target: int) -> Sequence[Figure]:
    """Draw the figures into `out`."""
    rows = list_own(results, target)
    save_figure(out, OWN.name, (11, 1.9 * len(rows) + 0.3), lambda figure, style: draw_tiles(figure, rows, style, 9))
    if not results.public:
        return [OWN]
    shown = list_public(results)
    size = (1.35 * max(map(len, shown)), 1.6 * len(shown))
    save_figure(out, PUBLIC.name, size, lambda figure, style: draw_tiles(figure, shown, style, 7))
    return [OWN, PUBLIC]


def list_own(results: Results, target: int) -> list[list[Tile]]:
    other, twin = (target + OTHER) % len(results.names), results.twin
    rows = []
    for name, network in results.poisoned.items():
        change = results.changes[name]
        shown = 0.5 + 0.5 * change / change.abs().max().clamp(min=1e-9)
        rows.append(
            [
                Tile(name, results.stamped[name]),
                Tile("what it changes", shown),
                Tile("target, clean twin", twin.pictures[target]),
                Tile("target, backdoored", network.pictures[target]),
                Tile("other class, clean twin", twin.pictures[other]),
                Tile("other class, backdoored", network.pictures[other]),
            ]
        )
    return rows


def list_public(results: Results) -> list[list[Tile]]:
    rows = []
    for card, network in results.public:
        names = card.labels or [str(index) for index in range(len(network.pictures))]
        titles = [f"{name} (target)" if index == card.target else name for index, name in enumerate(names)]
        titles[0] = f"{card.name}\n{titles[0]}"
        rows.append([Tile(title, picture) for title, picture in zip(titles, network.pictures, strict=True)])
    return rows
