"""What an evaluation has found, as it is stored and as tables: `evidence.json` of a run, `scores.evidence` of a map."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from phosphene.core.files import write_atomically
from phosphene.core.reading import RECORD_LIMIT, explain, read_file
from phosphene.core.records import check_fields, from_plain, open_seal, parse_json, seal, to_plain
from phosphene.errors import ArtifactError
from phosphene.evidence.figure import Figure
from phosphene.evidence.measure import Measure
from phosphene.evidence.measures.registry import MEASURES
from phosphene.evidence.table import Table, make_table

Shown = TypeVar("Shown")
FILE_NAME = "evidence.json"
FORMAT = 3  # 2 had no digest


@dataclass(frozen=True)
class EvaluatedMap:
    """A map of the run: its concept, its file in the run's folder, and the digest of the map that was measured."""

    concept: str
    file: str
    digest: str


@dataclass(frozen=True)
class Evaluation:
    """The content of `evidence.json`; `scores` are the summaries by key of measure, as plain JSON."""

    model: str
    samples: int
    feature_extractors: tuple[str, ...]
    maps: tuple[EvaluatedMap, ...]
    scores: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        return {"format": FORMAT, **to_json(self)}


@dataclass(frozen=True)
class Result:
    """One score of a run, ready to be shown."""

    measure: Measure[Any, Any]
    table: Table
    figure: Figure | None


def to_json(value: object) -> Any:
    """A dataclass as it reads back from a file: lists instead of tuples."""
    return json.loads(json.dumps(to_plain(value)))


def save_evaluation(folder: Path, evaluation: Evaluation) -> None:
    content = json.dumps(seal(evaluation.to_json()), indent=1) + "\n"
    write_atomically(folder / FILE_NAME, content.encode())


def load_evaluation(folder: Path) -> Evaluation | None:
    """What `evidence.json` of a folder says, also where version 0.1 has written it; None where there is none.

    Raises `ArtifactError` where it cannot be read.
    """
    path = folder / FILE_NAME
    try:
        record = _upgrade(parse_json(read_file(path, RECORD_LIMIT)))
        check_fields(Evaluation, record)
        return from_plain(Evaluation, record)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ArtifactError(f"cannot read {str(path)!r}: {explain(error)}; run `phosphene evaluate` again") from error


def make_results(evaluation: Evaluation) -> dict[str, Result]:
    """Table and figure of every score of a run, by key of measure. Raises `ArtifactError` where a score is none."""
    measures = {key: measure for key, measure in MEASURES.items() if key in evaluation.scores}
    return {key: _make_result(measure, evaluation.scores[key]) for key, measure in measures.items()}


def make_map_table(entries: Mapping[str, Any]) -> Table:
    """What was measured of one map, each score beside what to compare it with."""
    rows = [
        row
        for key, measure in MEASURES.items()
        if key in entries
        for row in _show(measure, measure.rows, read_stored(measure, measure.score_type, entries[key]))
    ]
    return make_table(("score", "this map", "beside"), rows)


def _make_result(measure: Measure[Any, Any], plain: Any) -> Result:
    summary = read_stored(measure, measure.summary_type, plain)
    return Result(measure, _show(measure, measure.table, summary), _show(measure, measure.figure, summary))


def _show(measure: Measure[Any, Any], build: Callable[[Any], Shown], stored: Any) -> Shown:
    """What `build` makes of a score or summary. Raises `ArtifactError` where a part that a measure always writes is
    missing or of another length: a record may be anybody's."""
    try:
        return build(stored)
    except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
        raise ArtifactError(
            f"what is stored of {measure.key} cannot be shown: {type(error).__name__}: {str(error)[:80]}; "
            f"run `phosphene evaluate` again"
        ) from error


def read_stored(measure: Measure[Any, Any], kind: Any, plain: Any) -> Any:
    """A score or summary of the measure from its JSON. Raises `ArtifactError` where it is none."""
    try:
        return from_plain(kind, plain)
    except ValueError as error:
        raise ArtifactError(
            f"what is stored of {measure.key} cannot be read: {error}; run `phosphene evaluate` again"
        ) from error


def _upgrade(record: dict[str, Any]) -> dict[str, Any]:
    """A record of any format that was ever written as one of today's; raises `ValueError` for others."""
    content = open_seal(record, required=record.get("format") == FORMAT)
    written = content.pop("format", None)
    if written == 1:
        return {"feature_extractors": content.pop("eyes", None), **content}
    if written not in (2, FORMAT):
        raise ValueError(f"its format is {written!r}, expected {FORMAT}, 2 or 1")
    return content
