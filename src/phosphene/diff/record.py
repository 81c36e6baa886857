"""The record of a comparison of two models, `diff.json` beside the maps that it is of."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phosphene.core.files import write_atomically
from phosphene.core.reading import RECORD_LIMIT, explain, read_file
from phosphene.core.records import check_fields, from_plain, open_seal, parse_json, seal, to_plain
from phosphene.errors import ArtifactError
from phosphene.model.record import ModelRecord

FILE = "diff.json"
FORMAT = 1


@dataclass(frozen=True)
class Opinion:
    """What a model makes of a bare picture: the concept's score, its probability, and whether it is seen.

    The score is that of the concept on outputs less their mean, for classes that exclude each other; else as it is.
    """

    score: float
    probability: float
    seen: bool


@dataclass(frozen=True)
class PictureRecord:
    """A picture of model `a` or `b` from one seed, its map's file in the folder, and what both models make of it."""

    model: str
    seed: int
    file: str
    fidelity: float
    by_a: Opinion
    by_b: Opinion


@dataclass(frozen=True)
class ConceptChange:
    """How far the pictures of a concept fell apart, with the 95% interval, in units of noise from seed to seed.

    `changed`: the interval that holds for all concepts of the comparison together lies above 0.
    """

    concept: str
    change: float
    low: float
    high: float
    changed: bool
    pictures: tuple[PictureRecord, ...]


@dataclass(frozen=True)
class Comparison:
    """Two models and their concepts, the most changed first. `noise_a` and `noise_b` are the deviations of each model's
    scores of its own pictures from seed to seed."""

    model_a: ModelRecord
    model_b: ModelRecord
    recipe: dict[str, Any]
    seeds: tuple[int, ...]
    noise_a: float
    noise_b: float
    concepts: tuple[ConceptChange, ...]
    format: int = FORMAT

    def to_json(self) -> dict[str, Any]:
        return dict(to_plain(self))

    def save(self, folder: Path) -> Path:
        """Write `diff.json` into the folder."""
        path = folder / FILE
        write_atomically(path, (json.dumps(seal(self.to_json()), indent=2) + "\n").encode())
        return path

    @staticmethod
    def load(folder: Path) -> Comparison:
        """Read it back; raises `ArtifactError` where it is missing, damaged, or of another version."""
        try:
            record = open_seal(parse_json(read_file(folder / FILE, RECORD_LIMIT)))
            check_fields(Comparison, record)
            comparison = from_plain(Comparison, record)
        except (OSError, ValueError) as error:
            raise ArtifactError(
                f"no readable {FILE} in {str(folder)!r} ({explain(error)}); expected the --out folder of "
                f"`phosphene diff`"
            ) from error
        if comparison.format != FORMAT:
            raise ArtifactError(f"{str(folder / FILE)!r} is of format {comparison.format}; expected {FORMAT}")
        return comparison
