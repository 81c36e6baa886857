"""How to scan again: the command line, and the Python lines with the settings that a budget led to."""

from __future__ import annotations

import pprint
import textwrap

from phosphene.core.records import from_plain
from phosphene.model.record import ModelRecord
from phosphene.report.reproduce import format_load, format_model
from phosphene.scanner.record import Scan


def format_scan_command(scan: Scan) -> str | None:
    """The `phosphene scan` line of the same model and seed; None where no option gives the model."""
    model = format_model(_read_model(scan))
    return None if model is None else f"phosphene scan {model} \\\n  --seed {scan.seed} --report again.html"


def format_scan_snippet(scan: Scan) -> str:
    model = _read_model(scan)
    settings = pprint.pformat(dict(scan.settings), width=60, sort_dicts=False)
    lines = [
        "import phosphene",
        "from phosphene.scanner import Settings, scan",
        "",
        f"classifier = {format_load(model)}",
        f"assert classifier.fingerprint.startswith({model.fingerprint[:12]!r})",
        f"settings = Settings(\n{textwrap.indent('**' + settings, '    ')}\n)",
        "result = scan(classifier, settings)",
    ]
    return "\n".join(lines)


def _read_model(scan: Scan) -> ModelRecord:
    """Records of scans call the number of outputs `classes`."""
    return from_plain(ModelRecord, {"outputs": len(scan.classes), **scan.model})
