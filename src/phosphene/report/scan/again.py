"""How to scan again: the command line, and the Python lines that say the settings a budget came to."""

from __future__ import annotations

import pprint

from phosphene.report.reproduce import load_call, source
from phosphene.scanner.record import Scan


def command(scan: Scan) -> str | None:
    """The `phosphene scan` line of the same model and seed; None where options cannot say the model."""
    named = source(scan.model)
    return None if named is None else f"phosphene scan {named} \\\n  --seed {scan.seed} --report again.html"


def snippet(scan: Scan) -> str:
    settings = pprint.pformat(dict(scan.settings), width=60, sort_dicts=False)
    return "\n".join([
        "import phosphene", "from phosphene.scanner.scanning import scan",
        "from phosphene.scanner.settings import Settings", "",
        f"classifier = {load_call(scan.model)}",
        f"assert classifier.fingerprint.startswith({scan.model.fingerprint[:12]!r})",
        f"settings = Settings(\n    **{settings.replace(chr(10), chr(10) + '    ')}\n)",
        "found = scan(classifier, settings)",
    ])  # fmt: skip
