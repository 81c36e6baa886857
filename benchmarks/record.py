"""What the scripts share: where results go and how they are printed."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).parent / "results"


def write_result(name: str, command: str, settings: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Path:
    """`results/NAME.json`: the command, what it ran on, and one record a row of the table."""
    machine = {"cores": torch.get_num_threads(), "torch": torch.__version__, "python": platform.python_version()}
    record = {"command": command, "settings": dict(settings), "machine": machine, "rows": list(rows)}
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(record, indent=2) + "\n")
    return path


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table of the rows; its columns are the keys of the first."""
    columns = list(rows[0])
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(str(row[column]) for column in columns) + " |" for row in rows]
    return "\n".join(lines)
