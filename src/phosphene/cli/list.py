"""`phosphene list`: what can be chosen."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phosphene.cli.options import Json, Source
from phosphene.cli.terminal import echo
from phosphene.errors import BadInput

if TYPE_CHECKING:
    from phosphene.model.classifier import Classifier
    from phosphene.recipe.recipe import Recipe


def run_list(
    what: Annotated[
        str,
        typer.Argument(
            help="models, concepts, superclasses, layers, distributions, views, geometries, scores, presets or checks."
        ),
    ],
    model: Annotated[str | None, typer.Argument(help="The model whose concepts are listed.")] = None,
    *,
    source: Source,
    as_json: Json = False,
) -> None:
    """List what can be chosen."""
    of_models = {"concepts": list_concepts, "superclasses": list_superclasses, "layers": list_layers}
    rows = of_models[what](source.load(model)) if what in of_models else list_registry(what)
    lines = "\n".join(f"{name:20} {text}" for name, text in rows.items())
    echo(json.dumps(rows, indent=2) if as_json else lines)


def list_concepts(classifier: Classifier) -> dict[str, str]:
    """Index and names of every class."""
    return {str(index): label for index, label in enumerate(classifier.labels)}


def list_superclasses(classifier: Classifier) -> dict[str, str]:
    """The superclasses of a model of ImageNet's classes, the largest first."""
    from phosphene.recipe.superclasses import Superclasses

    superclasses = Superclasses(classifier.labels)
    rows = superclasses.list_all()
    if not rows:
        raise BadInput(f"{classifier.name} has no superclasses: its labels are not ImageNet's 1000 classes")
    return {row.wnid: f"{len(row.classes)} classes: {', '.join(row.names)}" for row in rows}


def list_layers(classifier: Classifier) -> dict[str, str]:
    """The layers that a concept LAYER:CHANNEL can name."""
    from phosphene.model.layout import Unclear
    from phosphene.model.layout_search import find_layouts
    from phosphene.model.readout import count_channels

    layouts, channels = find_layouts(classifier), count_channels(classifier)
    rows = {}
    for layer, layout in layouts.items():
        if isinstance(layout, Unclear):
            rows[layer] = f"no channels that can be asked for: {layout.reason}"
        else:
            again = f", runs {layout.calls} times, read the last time" if layout.calls > 1 else ""
            rows[layer] = f"{channels[layer]} channels{again}"
    return rows


def list_registry(what: str) -> dict[str, str]:
    """Names and one line about each entry of a registry; raises `BadInput` where there is no such."""
    from phosphene.model.checks import CHECKS
    from phosphene.model.sources.registry import known_models
    from phosphene.recipe.distributions import DISTRIBUTIONS
    from phosphene.recipe.geometries import GEOMETRIES
    from phosphene.recipe.recipe import PRESETS
    from phosphene.recipe.scores import SCORES
    from phosphene.recipe.views import VIEWS

    lists: dict[str, Callable[[], dict[str, str]]] = {
        "models": known_models,
        "distributions": lambda: take_first_lines(DISTRIBUTIONS),
        "geometries": lambda: take_first_lines(GEOMETRIES),
        "views": lambda: {name: str(views) for name, views in VIEWS.items()},
        "scores": lambda: take_first_lines(SCORES),
        "presets": lambda: {name: describe_recipe(recipe) for name, recipe in PRESETS.items()},
        "checks": lambda: {name: f"raised if {check.raised_if}" for name, check in CHECKS.items()},
    }
    if what not in lists:
        raise BadInput(f"cannot list {what!r}; expected concepts, superclasses, layers, {', '.join(lists)}")
    return lists[what]()


def take_first_lines(registry: Mapping[str, Any]) -> dict[str, str]:
    """The first line of each entry's docstring."""
    return {name: (entry.__doc__ or "").strip().splitlines()[0] for name, entry in registry.items()}


def describe_recipe(recipe: Recipe) -> str:
    geometry, distribution = type(recipe.geometry).__name__.lower(), type(recipe.distribution).__name__.lower()
    return (
        f"{recipe.iterations} iterations, {geometry} geometry, {recipe.composition} composition, "
        f"{recipe.score} score, step {recipe.step}, {distribution} distribution"
    )
