"""Every form that a scan can be filed in, by the name of its option."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from phosphene.core.files import write_atomically
from phosphene.scanner.exports.artifact import Artifact
from phosphene.scanner.exports.attestation import make_attestation
from phosphene.scanner.exports.cyclonedx import make_cyclonedx
from phosphene.scanner.exports.sarif import make_sarif
from phosphene.scanner.record import Scan

EXPORTS: dict[str, Callable[[Scan, Artifact], dict[str, Any]]] = {
    "sarif": make_sarif,
    "cyclonedx": make_cyclonedx,
    "in-toto": make_attestation,
}


def write_export(scan: Scan, form: str, artifact: Artifact, path: Path) -> None:
    """The scan in one of the forms, as JSON."""
    write_atomically(path, (json.dumps(EXPORTS[form](scan, artifact), indent=2, allow_nan=False) + "\n").encode())
