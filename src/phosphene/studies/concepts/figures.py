"""The figures of study 3."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

from phosphene.runs.saliency import SaliencyMap
from phosphene.studies.concepts.cases import own_fidelity, raised
from phosphene.studies.concepts.experiment import Asked, Findings
from phosphene.studies.drawing import Style, Tile, draw, entitle, grid, in_rows, whiskers
from phosphene.studies.folder import Figure
from phosphene.studies.measures import estimated
from phosphene.studies.words import short

FIGURES = (
    Figure("classes", "Classes, by models of three sizes",
           "The bare picture of each class, made without any image. From top to bottom the models grow."),
    Figure("combined", "Sets of classes, and differences",
           "Left: what dogs, and what fruits, have in common to the model. Right: what tells one class from another."),
    Figure("channels", "Channels of the first model, from shallow to deep",
           "What raises one channel of a layer, from the first block to the last: edges and colours, textures, parts. "
           "Under each its score, in deviations of what noise without a map gives."),
    Figure("small", "The same of a small model",
           "A network of three convolutions, trained here on generated signs: classes, sets, differences and channels, by the same "
           "loop. Under each channel its score, in deviations of what noise without a map gives."),
    Figure("presets", "The paper’s choices and the default’s",
           "The same classes and the same number of iterations, by the smallest and the largest model; under each how sure the model "
           "is of its own map on fresh draws."),
    Figure("training", "When concepts appear in training",
           "A small network on generated signs. Left: an image of the class. Then the map of the class at each stage, from "
           "random weights to the end of training; above each column the step and the accuracy on held-out images."),
    Figure("curve", "Training, in numbers",
           "Mean over the signs with 95% intervals: how sure the model of that stage is of its own map, and how sure the "
           "trained model is of it."),
)  # fmt: skip


def drawn(found: Findings, out: Path) -> Sequence[Figure]:
    """Draw the figures into `out`; their sizes follow the numbers of rows and columns."""
    models, classes, stages = len(found.large), len(found.large[0].maps["class"]), len(found.stages)
    paints: dict[str, tuple[tuple[float, float], Callable[[Any, Style], None]]] = {
        "classes": ((1.9 * classes, 2.1 * models), lambda figure, style: grid(figure, _of_models(found, "class"), style)),
        "combined": ((10, 2.7 * models),
                     lambda figure, style: grid(figure, _of_models(found, "set", "difference"), style)),
        "channels": ((10, 5.8), lambda figure, style: grid(figure, _channels(found.large[0]), style)),
        "small": ((10, 9), lambda figure, style: grid(figure, _small(found.small), style)),
        "presets": ((9, 9.8), lambda figure, style: grid(figure, _presets(found), style)),
        "training": ((1.45 * (stages + 1), 1.5 * len(found.examples) + 0.4),
                     lambda figure, style: grid(figure, _training(found), style)),
        "curve": ((7.5, 5.2), lambda figure, style: _curve(figure, style, found)),
    }  # fmt: skip
    for name, (size, paint) in paints.items():
        draw(out, name, size, paint)
    return FIGURES


def _of_models(found: Findings, *kinds: str) -> list[list[Tile]]:
    return [[Tile(f"{short(one.model)}: {_brief(saliency.concept)}", saliency.raw_picture)
             for kind in kinds for saliency in one.maps[kind]] for one in found.large]  # fmt: skip


def _brief(text: str) -> str:
    first, *others = text.split(", ")
    return f"{first}, … ({len(others) + 1})" if len(others) > 2 else text


def _channels(one: Asked) -> list[Sequence[Tile]]:
    return in_rows([_channel(saliency) for saliency in one.maps["channel"]], 4)


def _channel(one: SaliencyMap) -> Tile:
    return Tile(f"{one.concept}: {raised(one):.0f} σ", one.raw_picture)


def _small(one: Asked) -> list[Sequence[Tile]]:
    tiles = [_channel(saliency) if kind == "channel" else Tile(fill(saliency.concept, 24), saliency.raw_picture)
             for kind, maps in one.maps.items() for saliency in maps]  # fmt: skip
    return in_rows(tiles, 4)


def _presets(found: Findings) -> list[list[Tile]]:
    ends = list({one.model: one for one in (found.large[0], found.large[-1])}.values())
    return [[Tile(f"{short(one.model)}, {preset}:\n{saliency.concept}, {own_fidelity([saliency])[0]:.0%} sure",
                  saliency.raw_picture) for saliency in maps]
            for one in ends for preset, maps in one.by_preset().items()]  # fmt: skip


def _training(found: Findings) -> list[list[Tile]]:
    """A row a sign; the first says above each column which step it is."""
    heads = [f"step {part.numbers['step']}\n{part.numbers['accuracy']:.0%} right" for part in found.stages]
    return [
        [Tile("" if row else "an image", example),
         *(Tile("" if row else head, part.tensors["pictures"][row])
           for head, part in zip(heads, found.stages, strict=True))]
        for row, example in enumerate(found.examples)
    ]  # fmt: skip


def _curve(figure: Any, style: Style, found: Findings) -> None:
    axis = figure.subplots()
    numbers = [part.numbers for part in found.stages]
    names = [f"step {one['step']}\n{one['accuracy']:.0%} right" for one in numbers]
    whiskers(axis, names, [
        ("the network of that step", [estimated(one["own"]) for one in numbers]),
        ("the trained network", [estimated(one["probability"]) for one in numbers]),
    ], style)  # fmt: skip
    axis.set_xlim(-0.03, 1.03)
    axis.set_xlabel("probability of the class that was asked for")
    entitle(figure, axis, "How sure of the map made at that step is …")
