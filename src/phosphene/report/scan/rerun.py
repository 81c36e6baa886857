"""How to scan again: the command line, and the Python lines with the settings that a budget led to."""

from __future__ import annotations

import pprint
import textwrap

from phosphene.report.reproduce import format_load, format_model
from phosphene.scanner.record import Scan


def format_scan_command(scan: Scan) -> str | None:
    """The `phosphene scan` line of the same model and seed; None where no option gives the model."""
    model = format_model(scan.model)
    return None if model is None else f"phosphene scan {model} \\\n  --seed {scan.seed} --report again.html"


def format_scan_snippet(scan: Scan) -> str:
    model = scan.model
    settings = pprint.pformat(dict(scan.settings), width=60, sort_dicts=False)
    lines = [
        "import phosphene",
        "from phosphene.scanner.scanning import scan",
        "from phosphene.scanner.settings import Settings",
        "",
        f"classifier = {format_load(model)}",
        f"assert classifier.fingerprint.startswith({model.fingerprint[:12]!r})",
        f"settings = Settings(\n{textwrap.indent('**' + settings, '    ')}\n)",
        "result = scan(classifier, settings)",
    ]
    return "\n".join(lines)
