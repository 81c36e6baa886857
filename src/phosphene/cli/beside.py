"""`phosphene map --beside`: the same concepts asked of several models."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, get_args, get_type_hints

from phosphene.cli.errors import SOME_FAILED, Verdict
from phosphene.cli.options import Source
from phosphene.cli.progress import make_callbacks, note_concepts, print_line, show_progress
from phosphene.cli.terminal import echo, warn
from phosphene.errors import BadInput

if TYPE_CHECKING:
    from rich.progress import Progress

    from phosphene.beside.record import Column
    from phosphene.beside.run import MadeBeside
    from phosphene.model.classifier import Classifier
    from phosphene.recipe.concepts import Concept
    from phosphene.recipe.recipe import Recipe
    from phosphene.runs.callbacks import Callbacks
    from phosphene.runs.reference import MapReference


def load_beside(texts: Sequence[str]) -> list[Classifier]:
    """The model of each `--beside`."""
    return [source.load(model) for model, source in map(parse_model, texts)]


def parse_model(text: str) -> tuple[str | None, Source]:
    """A model and its options, as they are written after `phosphene map`: `timm:resnet18 --weights mine.safetensors`.

    Without ` --` the whole text is the model, so that a path may hold spaces. Raises `BadInput`.
    """
    if not text.strip():
        raise BadInput("--beside is empty; expected a model, such as efficientnet_lite1")
    if not text.startswith("--") and " --" not in text:
        return text, Source()
    try:
        words = _split(text)
    except ValueError as error:
        raise BadInput(f"--beside {text!r}: {error}; close the quotation") from None
    given = vars(_OneModel(text).parse_args(words))
    return given.pop("model"), Source(**given)


def _split(text: str) -> list[str]:
    """Words as a shell has them, but for the backslash, which stands in paths."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.escape, lexer.commenters = True, "", ""
    return list(lexer)


class _OneModel(argparse.ArgumentParser):
    """Reads a model and the options of `Source`."""

    def __init__(self, text: str) -> None:
        super().__init__(add_help=False, allow_abbrev=False)
        self.text = text
        self.add_argument("model", nargs="?")
        kinds = get_type_hints(Source)
        for field in fields(Source):
            option: dict[str, Any] = {"action": "store_true"} if field.default is False else {}
            option |= {} if option else {"type": next(kind for kind in (*get_args(kinds[field.name]),) if kind)}
            self.add_argument(f"--{field.name.replace('_', '-')}", default=field.default, **option)

    def error(self, message: str) -> NoReturn:
        known = ", ".join(f"--{field.name.replace('_', '-')}" for field in fields(Source))
        raise BadInput(f"--beside {self.text!r}: {message}; expected a model and its options: {known}")


def run_beside(
    classifiers: Sequence[Classifier],
    asked: Sequence[str],
    recipe: Recipe,
    out: Path,
    *,
    on_map: Callable[[MapReference], None],
    as_json: bool,
    **options: Any,
) -> None:
    """Make all maps and say where they are; exits with 3 where a cell of the table stays empty."""
    from phosphene.beside.run import make_beside

    with show_progress(quiet=as_json) as bar:
        made = make_beside(
            classifiers,
            asked,
            recipe,
            out,
            callbacks=_call_too(make_callbacks(bar, quiet=as_json), on_map),
            on_model=lambda column, concepts: _announce(bar, out / column.folder, column, concepts, quiet=as_json),
            **options,
        )
    print_beside(made, out, as_json=as_json)
    if made.missing:
        raise Verdict(SOME_FAILED)


def _call_too(callbacks: Callbacks, on_map: Callable[[MapReference], None]) -> Callbacks:
    def finish(reference: MapReference) -> None:
        on_map(reference)
        callbacks.on_finish(reference)

    return replace(callbacks, on_finish=finish)


def _announce(bar: Progress, folder: Path, column: Column, concepts: Sequence[Concept], *, quiet: bool) -> None:
    if not column.folder:
        note_concepts(concepts)
    if not quiet:
        print_line(bar, f"{column.title}: {len(concepts)} concept{'' if len(concepts) == 1 else 's'}, in {folder}")


def print_beside(made: MadeBeside, out: Path, *, as_json: bool) -> None:
    """How many maps there are, and each concept that a model has no map of, with the reason."""
    from phosphene.beside.record import FILE
    from phosphene.cli.map import summarize_map

    if as_json:
        models = [
            {"model": column.title, "folder": str(out / column.folder), "maps": [summarize_map(one) for one in maps]}
            for column, maps in zip(made.table.columns, made.maps, strict=True)
        ]
        missing = [
            {"model": column.title, "concept": concept, "reason": reason} for column, concept, reason in made.missing
        ]
        echo(json.dumps({"record": str(out / FILE), "models": models, "missing": missing}, indent=2))
        return
    for column, concept, reason in made.missing:
        warn(f"{column.title} has no map of {concept}: {reason}")
    count = sum(map(len, made.maps))
    echo(
        f"{count} maps of {len(made.table.rows)} concepts by {len(made.table.columns)} models in {out}; "
        f"`phosphene report {out}` makes the page that shows them side by side"
    )
