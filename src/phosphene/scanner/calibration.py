"""Clean reference models: what each statistic does on models without a backdoor, and how to judge another by it.

A reference table holds one row a clean model: its statistics by class and as a whole. Everything else is computed from
the rows: the spread of each statistic, the reference scores of the external p-value, and the range of models that the
table speaks for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phosphene.core.files import write_atomically
from phosphene.errors import BadInput
from phosphene.scanner.settings import Settings

SHIPPED = Path(__file__).with_name("reference.json")
SMALLEST = 5  # clean models below which a rank says nothing
STRANGE = 0.5  # of the references' range: how far outside it a level may lie before a model is unlike them
NARROW = 0.2  # log size: a range is never taken for narrower


@dataclass(frozen=True)
class Row:
    """What the scan measured on one model: `classes[statistic]` one value a class, `whole[statistic]` one value."""

    name: str
    fingerprint: str
    outputs: int
    size: int
    channels: int
    classes: Mapping[str, tuple[float, ...]]
    whole: Mapping[str, float]

    @cached_property
    def centred(self) -> dict[str, tuple[NDArray[np.float64], float]]:
        """By statistic: distances from the median class, 0 where not finite; and the standard deviation of all but the
        largest value, which may be the very outlier that is looked for. Statistics of fewer than 3 values are left out.
        """
        found = {}
        for name, values in self.classes.items():
            array = np.array(values, dtype=np.float64)
            finite = np.sort(array[np.isfinite(array)])
            if len(finite) > 2:
                centred = np.where(np.isfinite(array), array - np.median(finite), 0.0)
                found[name] = (centred, float(np.std(finite[:-1], ddof=1)))
        return found

    def to_json(self) -> dict[str, Any]:
        shortened = {name: [round(value, 5) for value in values] for name, values in self.classes.items()}
        whole = {name: round(value, 5) for name, value in self.whole.items()}
        facts = {name: getattr(self, name) for name in ("name", "fingerprint", "outputs", "size", "channels")}
        return {**facts, "classes": shortened, "whole": whole}

    @staticmethod
    def from_json(record: Mapping[str, Any]) -> Row:
        classes = {name: tuple(values) for name, values in record["classes"].items()}
        return Row(**{**record, "classes": classes})


@dataclass(frozen=True)
class Reference:
    """A table of clean models with the settings that their rows were measured with."""

    name: str
    command: str
    settings: Mapping[str, Any]
    rows: tuple[Row, ...]

    @cached_property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """Smallest and largest value, over clean models, of each whole-model statistic."""
        names = {name for row in self.rows for name in row.whole}
        values = {name: [row.whole[name] for row in self.rows if name in row.whole] for name in names}
        return {name: (min(several), max(several)) for name, several in values.items()}

    def outside(self, row: Row, settings: Settings) -> tuple[str, ...]:
        """What of a model and a scan the references do not speak for; empty where they do."""
        if len(self.rows) < SMALLEST:
            return (f"the table holds {len(self.rows)} models, fewer than {SMALLEST}",)
        if not self.speaks_for(settings):
            return ("the references were measured with other settings",)
        facts = (("classes", "outputs"), ("side in pixels", "size"), ("channels", "channels"))
        found = []
        for words, name in facts:
            own, known = getattr(row, name), sorted({getattr(other, name) for other in self.rows})
            near = own in known if name == "channels" else known[0] * 0.8 <= own <= known[-1] * 1.25
            if not near:
                found.append(f"{words}: {own}, references {', '.join(map(str, known))}")
        for name, value in row.whole.items():
            least, most = self.ranges.get(name, (value, value))
            room = STRANGE * max(most - least, NARROW)
            if name.startswith("level ") and not least - room <= value <= most + room:
                words = name.removeprefix("level ")
                found.append(f"{words} of the median class: {value:.2f}, references {least:.2f} to {most:.2f}")
        return tuple(found)

    def speaks_for(self, settings: Settings) -> bool:
        """Are the rows measured as a scan with `settings` measures? Seed and long searches may differ."""
        return all(self.settings.get(name) == value for name, value in settings.of_rows().items())

    def without(self, fingerprint: str) -> Reference:
        """The table without one model: a reference is never judged by itself."""
        rows = tuple(row for row in self.rows if row.fingerprint != fingerprint)
        return Reference(self.name, self.command, self.settings, rows)

    def save(self, path: Path) -> None:
        record = {"name": self.name, "command": self.command, "settings": dict(self.settings),
                  "rows": [row.to_json() for row in self.rows]}  # fmt: skip
        write_atomically(path, (json.dumps(record, separators=(",", ":")) + "\n").encode())

    @staticmethod
    def load(path: Path) -> Reference:
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            rows = tuple(Row.from_json(row) for row in record["rows"])
            return Reference(record["name"], record["command"], record["settings"], rows)
        except OSError as error:
            raise BadInput(f"cannot read the calibration {str(path)!r}: {error.strerror}; expected what "
                           f"`phosphene calibrate` writes") from error  # fmt: skip
        except (ValueError, KeyError, TypeError) as error:
            raise BadInput(f"{str(path)!r} is no calibration: {type(error).__name__} {error}; expected what "
                           f"`phosphene calibrate` writes") from error  # fmt: skip


def shipped() -> Reference:
    """The table of this package: clean models of the development zoo."""
    return Reference.load(SHIPPED)
