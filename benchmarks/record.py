"""What the scripts share: where results go, how they are printed, and observations of an interrupted run.

The environment variable `PHOSPHENE_RESULTS` names another folder for results, so that a trial overwrites none of them.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(os.environ.get("PHOSPHENE_RESULTS", Path(__file__).parent / "results"))

# Experiment and seed → class → numbers, as the script says that writes them.
Observed = dict[str, dict[str, list[float]]]


def write_result(name: str, command: str, settings: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Path:
    """`results/NAME.json`: the command, what it ran on, and one record a row of the table."""
    machine = {"cores": torch.get_num_threads(), "torch": torch.__version__, "python": platform.python_version()}
    record = {"command": command, "settings": dict(settings), "machine": machine, "rows": list(rows)}
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(record, indent=2) + "\n")
    return path


def keep_rows(
    name: str, made: Sequence[Mapping[str, Any]], keys: Sequence[str], root: Path = RESULTS
) -> list[Mapping[str, Any]]:
    """The rows made, behind those of the last table that have other values in the columns `keys`."""
    path = root / f"{name}.json"
    older = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.is_file() else []
    new = [[row[key] for key in keys] for row in made]
    return [*(row for row in older if [row[key] for key in keys] not in new), *made]


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table of the rows; its columns are the keys of the first."""
    columns = list(rows[0])
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(str(row[column]) for column in columns) + " |" for row in rows]
    return "\n".join(lines)


def load_observed(path: Path) -> Observed:
    """What was observed so far."""
    observed: Observed = json.loads(path.read_text()) if path.is_file() else {}
    return observed


def save_observed(path: Path, observed: Observed) -> None:
    """One line a key, so that a difference of two runs can be read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(numbers)}" for key, numbers in observed.items())
    part = path.with_suffix(".tmp")
    part.write_text("{\n" + lines + "\n}\n")
    part.replace(path)
