"""The figures of study 3."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

from phosphene.runs.saliency import SaliencyMap
from phosphene.studies.concepts.cases import channel_score
from phosphene.studies.concepts.experiment import ModelResult, Results
from phosphene.studies.drawing import Style, Tile, add_title, draw_intervals, draw_tiles, save_figure, split_into_rows
from phosphene.studies.estimates import estimate_mean
from phosphene.studies.folder import Figure, Part
from phosphene.studies.words import shorten_model

FIGURES = (
    Figure(
        "classes",
        "Classes, by models of three sizes",
        "The bare picture of each class, computed without any image. From top to bottom the models grow.",
    ),
    Figure(
        "combined",
        "Sets of classes, and differences",
        "Left: what dogs, and what fruits, have in common to the model. Right: what separates one class from another.",
    ),
    Figure(
        "channels",
        "Channels of the first model, from shallow to deep",
        "What raises one channel of a layer, from the first block to the last: edges and colours, textures, parts. Under each its score, "
        "in standard deviations of the channel on noise without a map.",
    ),
    Figure(
        "small",
        "The same of a small model",
        "A network of three convolutions, trained here on generated signs: classes, sets, differences and channels, by the same loop. Under "
        "each channel its score, in standard deviations of the channel on noise without a map.",
    ),
    Figure(
        "presets",
        "The paper’s preset and the default",
        "The same classes and the same number of iterations, by the smallest and the largest model; under each the model’s probability of "
        "its own map on fresh draws.",
    ),
    Figure(
        "training",
        "When concepts appear in training",
        "A small network on generated signs. Left: an image of the class. Then the map of the class at each stage, from random weights to "
        "the end of training; above each column the step and the accuracy on held-out images.",
    ),
    Figure(
        "curve",
        "Training, in numbers",
        "Mean over the signs with 95% intervals: the probability that the network of that stage predicts for its own map, and the "
        "probability that the trained network predicts for it.",
    ),
)


def draw_figures(results: Results, out: Path) -> Sequence[Figure]:
    """Draw the figures into `out`; their sizes follow the numbers of rows and columns."""
    models, classes, stages = len(results.large), len(results.large[0].maps["class"]), len(results.stages)
    pictures: dict[str, tuple[tuple[float, float], Sequence[Sequence[Tile]]]] = {
        "classes": ((1.9 * classes, 2.1 * models), _list_models(results, "class")),
        "combined": ((10, 2.7 * models), _list_models(results, "set", "difference")),
        "channels": ((10, 5.8), _list_channels(results.large[0])),
        "small": ((10, 9), _list_small(results.small)),
        "presets": ((9, 9.8), _list_presets(results)),
        "training": ((1.45 * (stages + 1), 1.5 * len(results.examples) + 0.4), _list_stages(results)),
    }
    for name, (size, rows) in pictures.items():
        _save_tiles(out, name, size, rows)
    save_figure(out, "curve", (7.5, 5.2), lambda figure, style: _draw_curve(figure, style, results))
    return FIGURES


def _save_tiles(out: Path, name: str, size: tuple[float, float], rows: Sequence[Sequence[Tile]]) -> None:
    save_figure(out, name, size, lambda figure, style: draw_tiles(figure, rows, style))


def _list_models(results: Results, *kinds: str) -> list[list[Tile]]:
    """A row a model."""
    rows = []
    for result in results.large:
        maps = [saliency for kind in kinds for saliency in result.maps[kind]]
        model = shorten_model(result.model)
        rows.append([Tile(f"{model}: {_shorten_set(one.concept)}", one.raw_picture) for one in maps])
    return rows


def _shorten_set(text: str) -> str:
    first, *others = text.split(", ")
    return f"{first}, … ({len(others) + 1})" if len(others) > 2 else text


def _list_channels(result: ModelResult) -> list[Sequence[Tile]]:
    return split_into_rows([_make_channel_tile(saliency) for saliency in result.maps["channel"]], 4)


def _make_channel_tile(saliency: SaliencyMap) -> Tile:
    return Tile(f"{saliency.concept}: {channel_score(saliency).deviations:.0f} σ", saliency.raw_picture)


def _list_small(result: ModelResult) -> list[Sequence[Tile]]:
    tiles = []
    for kind, maps in result.maps.items():
        for saliency in maps:
            named = Tile(fill(saliency.concept, 24), saliency.raw_picture)
            tiles.append(_make_channel_tile(saliency) if kind == "channel" else named)
    return split_into_rows(tiles, 4)


def _list_presets(results: Results) -> list[list[Tile]]:
    """A row for each preset of the smallest and of the largest model."""
    ends = {result.model: result for result in (results.large[0], results.large[-1])}
    return [
        [_make_preset_tile(result.model, preset, saliency) for saliency in maps]
        for result in ends.values()
        for preset, maps in result.by_preset().items()
    ]


def _make_preset_tile(model: str, preset: str, saliency: SaliencyMap) -> Tile:
    probability = saliency.scores.fidelity.probability
    title = f"{shorten_model(model)}, {preset}:\n{saliency.concept}, {probability:.0%}"
    return Tile(title, saliency.raw_picture)


def _list_stages(results: Results) -> list[list[Tile]]:
    """A row a sign; titles are above the first only."""
    heads = [_name_stage(part) for part in results.stages]
    rows = []
    for row, example in enumerate(results.examples):
        pictures = [part.tensors["pictures"][row] for part in results.stages]
        titles = ["", *("" for _ in heads)] if row else ["an image", *heads]
        rows.append([Tile(title, picture) for title, picture in zip(titles, [example, *pictures], strict=True)])
    return rows


def _name_stage(part: Part) -> str:
    return f"step {part.numbers['step']}\n{part.numbers['accuracy']:.0%} right"


def _draw_curve(figure: Any, style: Style, results: Results) -> None:
    axis = figure.subplots()
    labels = {"own": "the network of that step", "probability": "the trained network"}
    series = [(label, [estimate_mean(part.numbers[key]) for part in results.stages]) for key, label in labels.items()]
    draw_intervals(axis, [_name_stage(part) for part in results.stages], series, style)
    axis.set_xlim(-0.03, 1.03)
    axis.set_xlabel("probability of the class of the map")
    add_title(figure, axis, "Probability of the map of that step, predicted by …")
