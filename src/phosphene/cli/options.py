"""The options that commands share, and how a dataclass of options becomes options of a command."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeGuard, TypeVar

import typer

from phosphene.errors import BadInput

if TYPE_CHECKING:
    from phosphene.model.classifier import Classifier
    from phosphene.recipe.distributions import Distribution
    from phosphene.recipe.recipe import Recipe

Choice = TypeVar("Choice")

Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else there.")]
Seed = Annotated[int, typer.Option(help="Seed of every random draw.")]
Verifiers = Annotated[
    list[str] | None, typer.Option("--verifier", help="Another model whose opinion stands beside the picture.")
]


@dataclass(frozen=True)
class Source:
    """Where a model comes from, beside its name."""

    weights: Annotated[Path | None, typer.Option(help="A weights file: safetensors, or a torch state dict.")] = None
    factory: Annotated[str | None, typer.Option(help="pkg.mod:fn that builds the architecture, instead of MODEL.")] = (
        None
    )
    size: Annotated[str | None, typer.Option(help="Side of the input in pixels, or H,W, where no record says it.")] = (
        None
    )
    channels: Annotated[int | None, typer.Option(help="Channels of the input, where no record says it.")] = None
    mean: Annotated[
        str | None, typer.Option(help="Mean of the normalisation, comma-separated, for images in [0,1].")
    ] = None
    std: Annotated[str | None, typer.Option(help="Standard deviation of the normalisation, comma-separated.")] = None
    labels: Annotated[Path | None, typer.Option(help="A file with the names of a class a line, comma-separated.")] = (
        None
    )
    outputs: Annotated[
        str | None,
        typer.Option(
            help="What the outputs are, where it is not plain: softmax, sigmoid, probabilities, label-probabilities, "
            "binary or binary-probability."
        ),
    ] = None
    output: Annotated[
        str | None,
        typer.Option(help="Which of several tensors that the model returns: a key, an attribute or a place."),
    ] = None
    contrast: Annotated[
        Path | None,
        typer.Option(help="For clip:NAME: a file with a text a line, what an image may show instead of the concept."),
    ] = None
    trust_pickle: Annotated[
        bool, typer.Option("--trust-pickle", help="Load a full pickle, which may run its author's code.")
    ] = False
    double: Annotated[
        bool,
        typer.Option(
            "--double", help="Compute in 64-bit numbers: slower; the same weights give the same map in any file."
        ),
    ] = False

    def parse(self) -> dict[str, Any]:
        """The options of `phosphene.load`."""
        numbers = {name: parse_numbers(f"--{name}", getattr(self, name)) for name in ("mean", "std")}
        return {**vars(self), **numbers, "size": parse_size(self.size)}

    def load(self, model: str | None) -> Classifier:
        from phosphene.cli.terminal import warn
        from phosphene.model.sources.load import load

        classifier = load(model, **self.parse())
        if classifier.doubt is not None:
            warn(f"{classifier.name}: {classifier.doubt} [suspicious-normalisation]")
        return classifier


@dataclass(frozen=True)
class RecipeOptions:
    """A preset, and the slots of its recipe that the user wants otherwise."""

    preset: Annotated[str, typer.Option(help="default, fast, best or paper.")] = "default"
    seed: Seed = 0
    iterations: Annotated[int | None, typer.Option(help="Iterations, instead of the preset's.")] = None
    distribution: Annotated[
        str | None, typer.Option(help="What the map is shown on; `folder:PATH` uses photographs.")
    ] = None
    geometry: Annotated[str | None, typer.Option(help="pixel or spectral.")] = None
    views: Annotated[str | None, typer.Option(help="How the map is moved: all, shift, zoom, rotation or none.")] = None
    composition: Annotated[str | None, typer.Option(help="How the map is put into a sample: logit or clip.")] = None
    score: Annotated[str | None, typer.Option(help="logit, half_margin, log_probability or margin.")] = None
    samples: Annotated[int | None, typer.Option(help="Samples an iteration, instead of the preset's.")] = None
    nudge_steps: Annotated[int | None, typer.Option(help="Steps that each data point walks in an iteration.")] = None
    restarts: Annotated[
        int | None,
        typer.Option(help="How often in all a map may be started that the model does not recognize; the best is kept."),
    ] = None
    coarse: Annotated[
        float | None, typer.Option(help="First share of the iterations on images of half the side; 0 for none.")
    ] = None
    leak: Annotated[
        float | None, typer.Option(help="Share of a gradient that passes any activation; 0: the gradient as it is.")
    ] = None
    residual: Annotated[
        float | None, typer.Option(help="Share that passes branches of residual blocks; 1: the gradient as it is.")
    ] = None

    def build(self) -> Recipe:
        """The preset with the options that were given."""
        from phosphene.recipe.geometries import GEOMETRIES
        from phosphene.recipe.recipe import PRESETS
        from phosphene.recipe.views import VIEWS

        recipe = choose(PRESETS, self.preset, "preset")
        changes = {name: value for name, value in vars(self).items() if value is not None}
        del changes["preset"]
        if self.distribution is not None:
            changes["distribution"] = choose_distribution(self.distribution)
        if self.views is not None:
            changes["views"] = choose(VIEWS, self.views, "views")
        if self.geometry is not None:
            kind = choose(GEOMETRIES, self.geometry, "geometry")
            changes["geometry"] = recipe.geometry if isinstance(recipe.geometry, kind) else kind()
        return replace(recipe, **changes)


def choose_distribution(name: str) -> Distribution:
    """A distribution by its name, or the photographs of `folder:PATH`."""
    from phosphene.recipe.distributions import DISTRIBUTIONS, Folder

    if name.startswith("folder:"):
        return Folder(name.removeprefix("folder:"))
    return choose(DISTRIBUTIONS, name, "distribution")()


def choose(registry: Mapping[str, Choice], name: str, kind: str) -> Choice:
    """The entry of a registry; raises `BadInput` with the names that there are."""
    if name not in registry:
        raise BadInput(f"no {kind} is called {name!r}; expected one of {', '.join(registry)}")
    return registry[name]


def load_verifiers(names: Sequence[str] | None) -> list[Classifier]:
    from phosphene.model.sources.load import load

    return [load(name).fold() for name in names or ()]


def parse_numbers(option: str, text: str | None) -> list[float] | None:
    try:
        return None if text is None else [float(part) for part in text.split(",")]
    except ValueError:
        raise BadInput(f"{option} is {text!r}; expected numbers separated by commas, such as 0.5,0.5,0.5") from None


def parse_size(text: str | None) -> tuple[int, int] | None:
    """`224` or `224,160`, height first."""
    try:
        sides = None if text is None else [int(part) for part in text.split(",")]
    except ValueError:
        sides = []
    if sides is None:
        return None
    if len(sides) not in (1, 2) or min(sides) < 1:
        raise BadInput(f"--size is {text!r}; expected a side in pixels, or height and width, such as 224,160")
    return sides[0], sides[-1]


def spread_options(command: Callable[..., None], *, without: Sequence[str] = ()) -> Callable[..., None]:
    """The command with each parameter that is a dataclass spread into an option a field, which typer can read.

    Fields named in `without` are left out and keep their defaults.
    """
    own = inspect.signature(command, eval_str=True).parameters
    groups = {name: one.annotation for name, one in own.items() if _is_group(one.annotation)}
    options = [option for one in own.values() for option in _spread(one, without)]

    @wraps(command)
    def run(**values: Any) -> None:
        for name, kind in groups.items():
            given = [field.name for field in fields(kind) if field.name not in without]
            values[name] = kind(**{field: values.pop(field) for field in given})
        command(**values)

    run.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    run.__annotations__ = {option.name: option.annotation for option in options}
    return run


def _spread(parameter: inspect.Parameter, without: Sequence[str]) -> list[inspect.Parameter]:
    parts = [parameter]
    if _is_group(kind := parameter.annotation):
        parts = [one for name, one in inspect.signature(kind, eval_str=True).parameters.items() if name not in without]
    return [part.replace(kind=inspect.Parameter.KEYWORD_ONLY) for part in parts]


def _is_group(annotation: object) -> TypeGuard[type[Any]]:
    return isinstance(annotation, type) and is_dataclass(annotation)
