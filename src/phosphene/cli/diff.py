"""`phosphene diff`: the same concepts under two models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phosphene.cli.options import Json, RecipeOptions, Source
from phosphene.cli.progress import make_callbacks, note_concepts, show_progress
from phosphene.cli.terminal import echo, warn
from phosphene.core.files import prepare_folder
from phosphene.core.locks import lock_folder
from phosphene.errors import BadInput

if TYPE_CHECKING:
    from phosphene.diff.record import Comparison, ConceptChange


@dataclass(frozen=True)
class OtherSource:
    """Where model B comes from, where it is not as model A."""

    weights_b: Annotated[Path | None, typer.Option(help="The weights file of model B.")] = None
    factory_b: Annotated[str | None, typer.Option(help="pkg.mod:fn that builds B, where A's does not.")] = None
    size_b: Annotated[int | None, typer.Option(help="--size of B, where it is another.")] = None
    mean_b: Annotated[str | None, typer.Option(help="--mean of B, where it is another.")] = None
    std_b: Annotated[str | None, typer.Option(help="--std of B, where it is another.")] = None
    labels_b: Annotated[Path | None, typer.Option(help="--labels of B, where they are others.")] = None
    outputs_b: Annotated[str | None, typer.Option(help="--outputs of B, where they are others.")] = None
    output_b: Annotated[str | None, typer.Option(help="--output of B, where it is another.")] = None

    def complete(self, source: Source) -> Source:
        """A's options with those that B has of its own. A's weights file is A's alone."""
        own = {name.removesuffix("_b"): value for name, value in vars(self).items() if value is not None}
        return replace(source, **{"weights": None, **own})


def run_diff(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="MODEL_A MODEL_B CONCEPT...", help="Two models and what to ask both for."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=2, help="Pictures of each concept by each model.")] = 4,
    all_classes: Annotated[bool, typer.Option("--all", help="Ask for every class of model A.")] = False,
    out: Annotated[Path, typer.Option(help="Folder for maps, record and page; finished maps in it are kept.")] = Path(
        "phosphene-diff"
    ),
    workers: Annotated[int, typer.Option(min=1, help="Processes that share the work.")] = 1,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace maps that another recipe or model made.")
    ] = False,
    *,
    recipe: RecipeOptions,
    other: OtherSource,
    source: Source,
    as_json: Json = False,
) -> None:
    """Compare two models by their pictures of each CONCEPT, and by what each makes of the other's.

    The options of a model are those of A; B has the same but for those given as --NAME-b, and but for the weights file.
    Both names stand in front of the concepts; with --factory, which builds both, neither does, and with --factory-b
    alone only A's. Concepts are as for `phosphene map`. The page ranks them by their change against the noise from seed
    to seed.
    """
    from phosphene.diff.comparison import compare
    from phosphene.report.diff import write_diff_report
    from phosphene.runs.executors.registry import choose_executor
    from phosphene.runs.make import parse_concepts

    (name_a, name_b), asked = split_names(names or [], source, other)
    chosen = recipe.build()
    model_a, model_b = source.load(name_a), other.complete(source).load(name_b)
    asked = choose_concepts(asked, model_a.labels, all_classes)
    note_concepts(parse_concepts(model_a, asked, chosen))
    prepare_folder(out)
    with lock_folder(out, warn), show_progress(quiet=as_json) as bar:
        comparison = compare(
            model_a,
            model_b,
            asked,
            chosen,
            out=out,
            seeds=seeds,
            executor=choose_executor(workers),
            callbacks=make_callbacks(bar, quiet=as_json),
            overwrite=overwrite,
        )
        page = write_diff_report(out)
    echo(json.dumps(comparison.to_json(), indent=2) if as_json else describe_comparison(comparison, page))


def split_names(
    names: Sequence[str], source: Source, other: OtherSource
) -> tuple[tuple[str | None, str | None], list[str]]:
    """The names of both models, None for one that a factory builds, and the concepts."""
    named = [source.factory is None, source.factory is None and other.factory_b is None]
    if len(names) < sum(named):
        raise BadInput(f"got {' '.join(names)!r}; expected {sum(named)} models and the concepts to ask both for")
    rest = list(names)
    first, second = (rest.pop(0) if is_named else None for is_named in named)
    if not named[1] and other.weights_b is None:
        raise BadInput("a factory builds model B; give its weights with --weights-b FILE")
    return (first, second), rest


def choose_concepts(asked: Sequence[str], labels: Sequence[str], all_classes: bool) -> list[str]:
    """The concepts that are asked for, or all classes. Raises `BadInput` for both, and for neither."""
    if bool(asked) == all_classes:
        raise BadInput("name the concepts to compare, or give --all for every class of model A, not both")
    return [f"index:{index}" for index in range(len(labels))] if all_classes else list(asked)


def describe_comparison(comparison: Comparison, page: Path) -> str:
    """The concepts in the order of their change, and where the page is."""
    rows = [describe_change(change) for change in comparison.concepts]
    changed = sum(change.changed for change in comparison.concepts)
    said = f"{changed} of {len(rows)} concepts changed by more than the noise from seed to seed; {page}"
    return "\n".join([*rows, said])


def describe_change(change: ConceptChange) -> str:
    return (
        f"{change.concept:32} {change.change:7.2f}  [{change.low:.2f}, {change.high:.2f}]"
        f"{'  changed' if change.changed else ''}"
    )
