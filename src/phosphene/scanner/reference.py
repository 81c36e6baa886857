"""Clean reference models: what each statistic is on models without a backdoor, and which scans they speak for.

A reference table holds one row a clean model, and for each column the settings that it was measured with. Everything
else is computed from the rows: the spread of each statistic, the reference scores of the external p-value, and the
range of models that the table speaks for.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phosphene.core.constraints import Size
from phosphene.core.files import write_atomically
from phosphene.core.reading import RECORD_LIMIT, read_file
from phosphene.core.records import check_fields, from_plain, open_seal, parse_json, seal, to_plain
from phosphene.errors import BadInput
from phosphene.scanner.settings import Settings
from phosphene.scanner.statistics.registry import list_columns, list_medians, split_settings
from phosphene.scanner.statistics.statistic import take_median
from phosphene.scanner.upgrade import upgrade_table

SHIPPED = Path(__file__).with_name("reference.json")
FORMAT = 2
MIN_MODELS = 5  # clean models below which a rank says nothing
DIGITS = 5


@dataclass(frozen=True)
class Row:
    """What was measured on one model: `classes[column]` one value a class, `whole[column]` one value."""

    name: str
    fingerprint: str
    outputs: Size
    size: Size
    channels: Size
    classes: Mapping[str, tuple[float, ...]]
    whole: Mapping[str, float]

    @cached_property
    def centred(self) -> dict[str, tuple[NDArray[np.float64], float]]:
        """By column: distances from the median class, 0 where not finite, and their spread.

        The spread is the standard deviation of all but the largest value, which may be the very outlier that is looked
        for. Columns of fewer than 3 finite values are left out.
        """
        centred = {}
        for name, values in self.classes.items():
            array = np.array(values, dtype=np.float64)
            finite = np.sort(array[np.isfinite(array)])
            if len(finite) > 2:
                distances = np.where(np.isfinite(array), array - np.median(finite), 0.0)
                centred[name] = (distances, float(np.std(finite[:-1], ddof=1)))
        return centred

    def check(self) -> None:
        """Raise `ValueError` unless the row is of a model: one value a class, and sizes of an image."""
        if min(self.outputs, self.size, self.channels) < 1:
            raise ValueError(f"{self.name!r} has {self.outputs} outputs of {self.channels} × {self.size} pixels")
        for name, values in self.classes.items():
            if len(values) != self.outputs:
                raise ValueError(f"{self.name!r} has {len(values)} values of {name!r} for {self.outputs} classes")

    @property
    def columns(self) -> set[str]:
        return {*self.classes, *self.whole}

    def without(self, columns: Collection[str]) -> Row:
        classes = {name: values for name, values in self.classes.items() if name not in columns}
        return replace(
            self, classes=classes, whole={name: value for name, value in self.whole.items() if name not in columns}
        )

    def to_json(self) -> dict[str, Any]:
        classes = {name: tuple(round(value, DIGITS) for value in values) for name, values in self.classes.items()}
        whole = {name: round(value, DIGITS) for name, value in self.whole.items()}
        plain: dict[str, Any] = to_plain(replace(self, classes=classes, whole=whole))
        return plain

    def with_medians(self) -> Row:
        """With the columns that are medians of others, which rows of earlier versions lack."""
        medians = {
            key: take_median(self.classes[source])
            for key, source in list_medians().items()
            if source in self.classes and key not in self.whole
        }
        medians = {name: value for name, value in medians.items() if math.isfinite(value)}
        return replace(self, whole={**self.whole, **medians}) if medians else self

    @staticmethod
    def from_json(record: Mapping[str, Any]) -> Row:
        return from_plain(Row, record).with_medians()


@dataclass(frozen=True)
class Reference:
    """A table of clean models; `columns[key]` are the settings that the column was measured with.

    `further` are models of another domain, measured alike: references of a model that is like them
    (`comparison.choose_references`).
    """

    name: str
    command: str
    columns: Mapping[str, Mapping[str, Any]]
    rows: tuple[Row, ...]
    further: tuple[Row, ...] = ()

    def join(self) -> Reference:
        """The table in which all of its models are references of any other."""
        return replace(self, rows=(*self.rows, *self.further), further=())

    @cached_property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """Smallest and largest value, over clean models, of each whole-model column."""
        names = {name for row in self.rows for name in row.whole}
        values = {name: [row.whole[name] for row in self.rows if name in row.whole] for name in names}
        return {name: (min(several), max(several)) for name, several in values.items()}

    def speaks_for(self, column: str, settings: Settings) -> bool:
        """Was the column measured on the references, and as a scan with `settings` measures it?"""
        return column in self.columns and self.columns[column] == split_settings(to_plain(settings)).get(column)

    def is_measured_on(self, backgrounds: str) -> bool:
        """Were the statistics measured on the pictures of this digest?"""
        return any(settings.get("backgrounds", "") == backgrounds != "" for settings in self.columns.values())

    def list_incomparable(self, row: Row, settings: Settings) -> tuple[str, ...]:
        """Columns of a model that cannot be compared with the references."""
        return tuple(name for name in list_columns() if name in row.columns and not self.speaks_for(name, settings))

    def without(self, fingerprint: str) -> Reference:
        """The table without one model: a reference is never judged by itself."""
        rows, further = (
            tuple(row for row in some if row.fingerprint != fingerprint) for some in (self.rows, self.further)
        )
        return replace(self, rows=rows, further=further)

    def save(self, path: Path) -> None:
        rows, further = ([row.to_json() for row in some] for some in (self.rows, self.further))
        plain = to_plain(replace(self, rows=(), further=()))
        record = seal({"format": FORMAT, **plain, "rows": rows, "further": further})
        write_atomically(path, (json.dumps(record, separators=(",", ":")) + "\n").encode())

    @staticmethod
    def from_json(record: Mapping[str, Any]) -> Reference:
        """A table of any format that was ever written. Raises `ValueError`, or `KeyError` and the like, for others."""
        content = open_seal(record)
        number = content.pop("format", 1)
        if number not in (1, FORMAT):
            raise ValueError(f"its format is {number!r}; this version reads formats 1 and {FORMAT}")
        content = upgrade_table(content) if number == 1 else content
        check_fields(Reference, content)
        table = from_plain(Reference, content)
        for row in table.join().rows:
            row.check()
        return table._with_medians()

    def _with_medians(self) -> Reference:
        """A table of an earlier version with the columns that are medians of its own, measured as those were."""
        settings = {key: self.columns[source] for key, source in list_medians().items() if source in self.columns}
        rows, further = (tuple(row.with_medians() for row in some) for some in (self.rows, self.further))
        return replace(self, columns={**settings, **self.columns}, rows=rows, further=further)

    @staticmethod
    def load(path: Path) -> Reference:
        """A table that `save` wrote, or that of an earlier version. Raises `BadInput` where it is none."""
        try:
            return Reference.from_json(parse_json(read_file(path, RECORD_LIMIT)))
        except OSError as error:
            raise BadInput(
                f"cannot read the calibration {str(path)!r}: {error.strerror}; expected what "
                f"`phosphene calibrate` writes"
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadInput(
                f"{str(path)!r} is no calibration: {type(error).__name__} {error}; expected what "
                f"`phosphene calibrate` writes"
            ) from error


def load_shipped() -> Reference:
    """The table of this package: clean models of the zoo, further ones those of fractals."""
    return Reference.load(SHIPPED)
