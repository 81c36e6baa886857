"""The file that was scanned, as records name it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from phosphene.scanner.record import VERDICTS, Scan

BLOCK = 1 << 20  # bytes


@dataclass(frozen=True)
class Artifact:
    """A weights file by name and SHA-256; a model that a library brings has a name alone."""

    name: str
    sha256: str | None = None

    @staticmethod
    def of(scan: Scan, weights: Path | None) -> Artifact:
        return Artifact(scan.model.name) if weights is None else Artifact(weights.name, hash_file(weights))

    @property
    def uri(self) -> str:
        return quote(self.name)


def hash_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def describe_result(scan: Scan) -> str:
    """The verdict in one paragraph, which is never an all-clear."""
    target = f" Class {scan.target.index} ({scan.target.name})." if scan.target is not None else ""
    by = " by the model's own classes" if scan.own_classes is not None else ""
    verdict = f"{scan.verdict} (p = {scan.p_value:.3g}{by}): {VERDICTS[scan.verdict].means}."
    return f"{verdict}{target} Not covered: {'; '.join(scan.not_covered)}."
