"""Maps of the same concepts by several models, in one folder, each model the judge of the others' pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from phosphene.beside.columns import choose_verifiers, name_columns
from phosphene.beside.judging import add_opinions_by_name
from phosphene.beside.pairing import Paired, list_concepts, pair_concepts
from phosphene.beside.record import FILE, Cell, Column, Row, SideBySide
from phosphene.core.files import prepare_folder
from phosphene.core.locks import lock_target
from phosphene.model.classifier import Classifier
from phosphene.recipe.concepts import Concept
from phosphene.recipe.recipe import Recipe
from phosphene.runs.callbacks import Callbacks, noop
from phosphene.runs.executors.executor import Executor
from phosphene.runs.executors.serial import Serial
from phosphene.runs.failures import Failure
from phosphene.runs.make import check_same_classes, make
from phosphene.runs.reference import MapReference
from phosphene.runs.store import artifact_path


@dataclass(frozen=True)
class MadeBeside:
    """The record, and the finished maps of each of its columns."""

    table: SideBySide
    maps: tuple[tuple[MapReference, ...], ...]

    @property
    def missing(self) -> list[tuple[Column, str, str]]:
        """Model, concept and reason of each cell without a map."""
        return [
            (column, row.concept, cell.missing)
            for row in self.table.rows
            for column, cell in zip(self.table.columns, row.cells, strict=True)
            if cell.missing
        ]


def make_beside(
    classifiers: Sequence[Classifier],
    asked: Sequence[str],
    recipe: Recipe,
    out: Path,
    *,
    verifiers: Sequence[Classifier] = (),
    executor: Executor = Serial(),
    callbacks: Callbacks = Callbacks(),
    overwrite: bool = False,
    on_model: Callable[[Column, list[Concept]], None] = noop,
) -> MadeBeside:
    """Make the map of each concept by each model that has it: the first model's in `out`, each other's in a subfolder.

    Models judge each other's pictures of classes that both have by name, as `verifiers` do. Finished maps are kept. A
    concept that a model does not have, or whose map fails, stops nothing and is named in the record, `beside.json`.
    `on_model` is called with each column and the concepts that are made for it. Raises what `make` raises, `BadInput`
    for a model that is there twice, and `UnknownConcept` for a concept that no model has.
    """
    columns = name_columns(classifiers)
    check_same_classes(classifiers[0], verifiers)
    rows = pair_concepts(classifiers, asked, recipe)
    table = SideBySide(columns, tuple(_make_row(row, out) for row in rows))
    options: dict[str, Any] = {"executor": executor, "overwrite": overwrite, "keep_going": True}
    prepare_folder(out)
    finished: list[tuple[MapReference, ...]] = []
    with lock_target(out / FILE, callbacks.on_warning):
        for number, column in enumerate(columns):
            concepts, failures = list_concepts(rows, number), list[Failure]()
            on_model(column, concepts)
            options["callbacks"] = _listen(callbacks, failures, table, out)
            options["verifiers"] = choose_verifiers(number, classifiers, verifiers)
            finished.append(_make_column(classifiers[number], concepts, recipe, out / column.folder, options))
            table = _note_failures(table, number, rows, failures)
        table.save(out)
        for number, column in enumerate(columns):
            place = (out / column.folder, callbacks.on_warning)
            finished[number] = add_opinions_by_name(number, classifiers, rows, finished[number], *place)
            if finished[number] and not any(one.scores.opinions for one in finished[number]):
                callbacks.on_warning(f"{column.title}: none of the others judges it: no class has the same name")
    return MadeBeside(table, tuple(finished))


def _make_column(
    classifier: Classifier, concepts: Sequence[Concept], recipe: Recipe, folder: Path, options: Mapping[str, Any]
) -> tuple[MapReference, ...]:
    """The maps of one model in the order of the concepts; none where it has none of them."""
    if not concepts:
        return ()
    made = {reference.concept: reference for reference in make(classifier, concepts, recipe, folder, **options)}
    return tuple(made[name] for name in dict.fromkeys(concept.name for concept in concepts) if name in made)


def _make_row(row: Paired, out: Path) -> Row:
    cells = (
        Cell("", concept) if isinstance(concept, str) else Cell(artifact_path(out, concept.name).name)
        for concept in row.concepts
    )
    return Row(row.name, tuple(cells))


def _listen(callbacks: Callbacks, failures: list[Failure], table: SideBySide, out: Path) -> Callbacks:
    """The callbacks, with failures noted, and with the record written as soon as it is known that the folder takes the
    maps: one of another recipe leaves it as it was."""

    def start(maps: int, iterations: int) -> None:
        table.save(out)
        callbacks.on_start(maps, iterations)

    def fail(failure: Failure) -> None:
        failures.append(failure)
        callbacks.on_failure(failure)

    return replace(callbacks, on_start=start, on_failure=fail)


def _note_failures(table: SideBySide, number: int, rows: Sequence[Paired], failures: Sequence[Failure]) -> SideBySide:
    """The table with the reasons of one column's failures."""
    reasons = {failure.concept: failure.reason for failure in failures}
    noted = []
    for row, paired in zip(table.rows, rows, strict=True):
        concept, cells = paired.concepts[number], list(row.cells)
        if not isinstance(concept, str) and concept.name in reasons:
            cells[number] = Cell("", reasons[concept.name])
        noted.append(replace(row, cells=tuple(cells)))
    return replace(table, rows=tuple(noted))
