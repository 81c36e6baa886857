"""A reference table of one's own: clean models measured one by one, written after each, so that it can be resumed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from phosphene.core.records import to_plain
from phosphene.errors import BadInput
from phosphene.model.classifier import Classifier
from phosphene.scanner.budget import Budget
from phosphene.scanner.context import Context
from phosphene.scanner.measuring import measure_statistics, prepare_classifier
from phosphene.scanner.model_size import ModelSize
from phosphene.scanner.pictures import SMALL, Pictures, load_pictures
from phosphene.scanner.reference import Reference, Row
from phosphene.scanner.settings import Settings
from phosphene.scanner.statistics.registry import STATISTICS, split_settings
from phosphene.scanner.statistics.statistic import Statistic

OnRow = Callable[[Row, bool], None]


def ignore_row(row: Row, known: bool) -> None:
    """Default callback; does nothing."""


def measure_row(
    classifier: Classifier,
    settings: Settings | None = None,
    statistics: Iterable[Statistic] | None = None,
    images: Pictures | None = None,
) -> Row:
    """The statistics of one model, all or the given ones, as a row of a reference table; on pictures where they are
    given."""
    settings = settings or Settings()
    if images is not None:
        settings = replace(settings, backgrounds=images.digest)
    pictures = None if images is None else images.for_search
    context = Context(prepare_classifier(classifier), settings, pictures=pictures)
    return measure_statistics(context, Budget(ModelSize.of(classifier), ()), statistics=statistics).row


def calibrate(
    models: Iterable[Classifier],
    path: Path,
    settings: Settings | None = None,
    on_row: OnRow = ignore_row,
    images: Path | None = None,
) -> Reference:
    """The table at `path`, with a row for each of `models`; what it holds already is not measured again.

    A statistic that is newer than the table is measured alone, and speaks for itself once every model of the table
    has it. Raises `BadInput` where the table was measured with other settings. `images` is a folder of clean pictures
    that all models are measured on, for scans that are given the same.
    """
    settings = settings or Settings()
    if images is not None:
        settings = replace(settings, backgrounds=load_pictures(images, SMALL).digest)
    table = Reference.load(path) if path.exists() else _start_table(path, settings)
    _check_settings(table, settings, path)
    new, seen = find_new_statistics(table.columns), set()
    for classifier in models:
        known = next((row for row in table.join().rows if row.fingerprint == classifier.fingerprint), None)
        pictures = None if images is None else load_pictures(images, classifier.image_shape)
        row = complete_row(classifier, settings, known, new, pictures)
        if row is not known:
            table = _with_row(table, row)
            table.save(path)
        seen.add(row.fingerprint)
        on_row(row, known is not None)
    if new and seen == {row.fingerprint for row in table.join().rows}:
        table = replace(table, columns=split_settings(to_plain(settings)))
        table.save(path)
    return table


def _start_table(path: Path, settings: Settings) -> Reference:
    return Reference(path.stem, "phosphene calibrate", split_settings(to_plain(settings)), ())


def _check_settings(table: Reference, settings: Settings, path: Path) -> None:
    own = split_settings(to_plain(settings))
    if any(own[name] != known for name, known in table.columns.items() if name in own):
        raise BadInput(
            f"{str(path)!r} was measured with other settings or pictures; expected a new file or the same ones"
        )


def find_new_statistics(columns: Collection[str]) -> list[Statistic]:
    """Those that fill none of the given columns."""
    return [
        statistic for statistic in STATISTICS.values() if not any(column.key in columns for column in statistic.columns)
    ]


def complete_row(
    classifier: Classifier,
    settings: Settings,
    known: Row | None,
    new: Sequence[Statistic],
    images: Pictures | None = None,
) -> Row:
    """The known row with the new statistics that it lacks, the same object where it lacks none; else a whole row."""
    if known is None:
        return measure_row(classifier, settings, images=images)
    missing = [statistic for statistic in new if not known.columns & {column.key for column in statistic.columns}]
    if not missing:
        return known
    added = measure_row(classifier, settings, missing, images)
    return replace(known, classes={**known.classes, **added.classes}, whole={**known.whole, **added.whole})


def _with_row(table: Reference, row: Row) -> Reference:
    others = [other for other in table.rows if other.fingerprint != row.fingerprint]
    return replace(table, rows=(*others, row))
