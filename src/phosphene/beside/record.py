"""The record of concepts that were asked of several models, `beside.json` beside the maps that it is of."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from phosphene.core.files import write_atomically
from phosphene.core.reading import RECORD_LIMIT, explain, read_file
from phosphene.core.records import read_sealed, seal, to_plain
from phosphene.errors import ArtifactError
from phosphene.model.record import ModelRecord

FILE = "beside.json"
FORMAT = 1
FOLDER = re.compile(r"[a-z0-9_-]*")  # nothing that leads out of the folder of the record
MAP = re.compile(r"[a-z0-9-]+\.safetensors")


@dataclass(frozen=True)
class Column:
    """A model, what it is called in the table, and the subfolder of its maps; empty for the folder itself."""

    title: str
    folder: str
    model: ModelRecord


@dataclass(frozen=True)
class Cell:
    """The name of the map's file in the folder of its column, and why there is none, where there is none."""

    file: str
    missing: str = ""


@dataclass(frozen=True)
class Row:
    """A concept, and its cell in each column."""

    concept: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class SideBySide:
    """Models by columns and concepts by rows. It is written before the maps are: a file may not be there yet."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    format: int = FORMAT

    def save(self, folder: Path) -> Path:
        """Write `beside.json` into the folder."""
        path = folder / FILE
        write_atomically(path, (json.dumps(seal(to_plain(self)), indent=2) + "\n").encode())
        return path

    @staticmethod
    def load(folder: Path) -> SideBySide:
        """Read it back; raises `ArtifactError` where it is missing, damaged, or of another version."""
        try:
            table = read_sealed(SideBySide, read_file(folder / FILE, RECORD_LIMIT), FORMAT)
            _check_places(table)
        except (OSError, ValueError) as error:
            raise ArtifactError(
                f"no readable {FILE} in {str(folder)!r} ({explain(error)}); run `phosphene map MODEL ... --beside` "
                f"again, finished maps are kept"
            ) from error
        return table


def _check_places(table: SideBySide) -> None:
    """Raise `ValueError` for a table that is not rectangular, and for names that lead elsewhere."""
    for column in table.columns:
        if not FOLDER.fullmatch(column.folder):
            raise ValueError(f"{column.folder!r} is no name of a folder of maps")
    for row in table.rows:
        if len(row.cells) != len(table.columns):
            raise ValueError(f"{row.concept!r} has {len(row.cells)} cells, expected {len(table.columns)}")
        for cell in row.cells:
            if cell.file and not MAP.fullmatch(cell.file):
                raise ValueError(f"{cell.file!r} is no name of a map")
