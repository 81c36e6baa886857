"""`scans.json`: the verdict on every model of a folder, without pictures; small enough to be kept and compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from phosphene.core.constraints import NonNegative, Probability
from phosphene.core.files import write_atomically
from phosphene.core.reading import RECORD_LIMIT, explain, read_file
from phosphene.core.records import read_sealed, seal, to_plain
from phosphene.errors import ArtifactError
from phosphene.scanner.folder.listing import LeftOut
from phosphene.scanner.record import VERDICTS, Named, Scan, VerdictName

FILE_NAME = "scans.json"
FORMAT = 1
ACCUSED, UNDECIDED, FAILED = 1, 3, 2  # exit codes; the first that applies wins


@dataclass(frozen=True)
class ScannedModel:
    """One model of the folder: its verdict, or the reason why it has none.

    `sha256` is that of the file or, of a folder, of the list of its files; `beside` those of files that an ONNX file
    names. `options` are what was said of it, as on the command line. `record` and `page` are names of files in the
    folder of the scans; `seconds` those of the scan. Without a verdict all of that is None but `failure`.
    """

    file: str
    sha256: str | None
    beside: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    fingerprint: str | None = None
    verdict: VerdictName | None = None
    p_value: Probability | None = None
    p_internal: Probability | None = None
    p_external: Probability | None = None
    target: Named | None = None
    seconds: NonNegative | None = None
    record: str | None = None
    page: str | None = None
    failure: str | None = None
    p_own_classes: Probability | None = None

    @property
    def exit_code(self) -> int:
        """That of a scan of this model alone."""
        return FAILED if self.verdict is None else VERDICTS[self.verdict].exit_code


@dataclass(frozen=True)
class ComparedWith:
    """The base of all models of the folder."""

    name: str
    fingerprint: str


@dataclass(frozen=True)
class FolderScan:
    """The content of `scans.json`; `settings` are those that every scan began with."""

    folder: str
    models: tuple[ScannedModel, ...]
    left_out: tuple[LeftOut, ...]
    settings: Mapping[str, Any]
    budget: float | None
    calibration: str
    versions: Mapping[str, str]
    format: int = field(default=FORMAT)
    against: ComparedWith | None = None
    images: str | None = None  # digest of the pictures that all candidates were tried on

    @property
    def exit_code(self) -> int:
        """1 where a model is accused, else 3 where one is undecided, else 2 where one was not scanned, else 0."""
        codes = {one.exit_code for one in self.models}
        return next((code for code in (ACCUSED, UNDECIDED, FAILED) if code in codes), 0)

    @property
    def failures(self) -> tuple[ScannedModel, ...]:
        return tuple(one for one in self.models if one.verdict is None)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON and its digest."""
        return seal(to_plain(self))

    def save(self, folder: Path) -> Path:
        """Write `FOLDER/scans.json`; returns its path."""
        path = folder / FILE_NAME
        write_atomically(path, (json.dumps(self.to_json(), indent=1) + "\n").encode())
        return path


def load_scans(path: Path) -> FolderScan:
    """The table of a file. Raises `ArtifactError` where it cannot be read."""
    try:
        return read_sealed(FolderScan, read_file(path, RECORD_LIMIT), FORMAT)
    except (OSError, ValueError) as error:
        raise ArtifactError(f"cannot read {str(path)!r}: {explain(error)}; run `phosphene scan DIR` again") from error


def describe_model(
    file: str, sha256: str, beside: Mapping[str, str], options: Mapping[str, str], scan: Scan, record: Path
) -> ScannedModel:
    """The line of a finished scan."""
    return ScannedModel(
        file=file,
        sha256=sha256,
        beside=beside,
        options=options,
        fingerprint=scan.model.fingerprint,
        verdict=scan.verdict,
        p_value=scan.p_value,
        p_internal=scan.p_internal,
        p_external=scan.p_external,
        p_own_classes=None if scan.own_classes is None else scan.own_classes.p_value,
        target=scan.target,
        seconds=scan.seconds,
        record=record.name,
        page=record.with_suffix(".html").name,
    )
