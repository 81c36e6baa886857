"""How to scan again: the command line, and the Python lines with the settings that a budget led to."""

from __future__ import annotations

import pprint
import textwrap

from phosphene.report.reproduce import format_load, format_model
from phosphene.scanner.record import Scan


def format_scan_command(scan: Scan) -> str | None:
    """The `phosphene scan` line of the same model and seed; None where no option gives the model."""
    model = format_model(scan.model)
    more = (" --against BASE" if scan.against else "") + (" --images DIR" if scan.images else "")
    more += " --thorough" if scan.settings.get("clear", 0.0) >= 1 else ""
    return None if model is None else f"phosphene scan {model} \\\n  --seed {scan.seed}{more} --report again.html"


def _format_evidence(scan: Scan) -> list[str]:
    """The last lines: the scan with what it was given beside the model."""
    lines, given = [], ""
    if scan.against is not None:
        lines.append(
            f"base = phosphene.load(BASE)  # fingerprint {scan.against.fingerprint[:12]}, opened as the model is"
        )
        given += ", against=base"
    if scan.images is not None:
        lines.append("from pathlib import Path")
        lines.append("from phosphene.scanner.pictures import load_pictures")
        lines.append(f"images = load_pictures(Path(DIR), classifier.image_shape)  # digest {scan.images.digest[:12]}")
        given += ", images=images"
    return [*lines, f"result = scan(classifier, settings{given})"]


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
        *_format_evidence(scan),
    ]
    return "\n".join(lines)
