"""A reference table of one's own: clean models measured one by one, written after each, so that it can be resumed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from phosphene.errors import BadInput
from phosphene.model.classifier import Classifier
from phosphene.scanner.calibration import Reference, Row
from phosphene.scanner.measure import measured, prepared
from phosphene.scanner.settings import Clock, Settings


def measure(classifier: Classifier, settings: Settings | None = None) -> Row:
    """The statistics of one model as a row of a reference table."""
    depth = settings or Settings()
    private = prepared(classifier)
    return measured(private, depth, Clock(private, None), lambda stage: None).row


def calibrated(
    models: Iterable[Classifier],
    path: Path,
    settings: Settings | None = None,
    told: Callable[[Row, bool], None] = lambda row, known: None,
) -> Reference:
    """The table at `path`, with a row for each of `models`; those that it holds already are not measured again.

    Raises `BadInput` where the table was measured with other settings.
    """
    settings = settings or Settings()
    table = Reference(path.stem, "phosphene calibrate", settings.to_json(), ())
    if path.exists():
        table = Reference.load(path)
    if not table.speaks_for(settings):
        raise BadInput(f"{str(path)!r} was measured with other settings; expected a new file or the same settings")
    for classifier in models:
        known = next((row for row in table.rows if row.fingerprint == classifier.fingerprint), None)
        row = known or measure(classifier, settings)
        if known is None:
            table = Reference(table.name, table.command, table.settings, (*table.rows, row))
            table.save(path)
        told(row, known is not None)
    return table
