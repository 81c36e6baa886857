"""One model of a folder: opened, scanned and written down, in whatever process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phosphene.errors import ArtifactError, BadWeights, DamagedArtifact
from phosphene.model.classifier import Classifier
from phosphene.model.sources.load import load
from phosphene.runs.callbacks import noop
from phosphene.runs.failures import Failure, describe_failure
from phosphene.runs.jobs import DIED_TWICE, JobResult
from phosphene.runs.open_models import OpenModels
from phosphene.scanner.against.base import Base
from phosphene.scanner.folder.identity import hash_beside, hash_model
from phosphene.scanner.folder.listing import Candidate
from phosphene.scanner.pictures import load_pictures
from phosphene.scanner.record import Scan
from phosphene.scanner.reference import Reference
from phosphene.scanner.scanning import scan
from phosphene.scanner.settings import Settings


@dataclass(frozen=True)
class ScanJob:
    """What is scanned, how, and where its record goes. `options` are those of `phosphene.load`; `sha256` and `beside`
    are of the bytes that were found when the run began."""

    candidate: Candidate
    options: Mapping[str, Any]
    settings: Settings
    budget: float | None
    calibration: Path | None
    sha256: str
    beside: Mapping[str, str]
    target: Path
    against: Base | None = None
    images: Path | None = None

    keep_going = True
    iterations = 1

    def run(self, models: OpenModels, on_iterations: Callable[[int], None] = noop) -> JobResult:
        """Scan the model and write the record, unless it is there; a failure is told of in the result."""
        if self.target.exists() and self.find_finished() is not None:  # another worker died after this one had ended
            return JobResult(files=(self.target,))
        warnings: list[str] = []
        try:
            self._scan(warnings).save(self.target)
        except (Exception, SystemExit) as error:  # a model's own code may end the program
            return JobResult(warnings=tuple(warnings), failures=(self.fail(_explain(error)),))
        on_iterations(self.iterations)
        return JobResult(warnings=tuple(warnings), files=(self.target,))

    def split(self) -> tuple[list[ScanJob], JobResult]:
        return [], JobResult(failures=(self.fail(DIED_TWICE),))

    def describe(self) -> str:
        return self.candidate.name

    def fail(self, reason: str) -> Failure:
        return Failure(self.candidate.name, reason)

    def find_finished(self) -> Scan | None:
        """The record of this very scan; None where there is none. Raises `DamagedArtifact` where it cannot be read."""
        try:
            return Scan.load(self.target)
        except DamagedArtifact:
            raise
        except ArtifactError:
            return None

    def _scan(self, warnings: list[str]) -> Scan:
        classifier = self._open()
        if classifier.doubt is not None:
            warnings.append(self._name(f"{classifier.doubt} [suspicious-normalisation]"))
        reference = None if self.calibration is None else Reference.load(self.calibration)
        return scan(
            classifier,
            self.settings,
            reference=reference,
            budget=self.budget,
            against=self.against,
            images=None if self.images is None else load_pictures(self.images, classifier.image_shape),
            on_warning=lambda sentence: warnings.append(self._name(sentence)),
        )

    def _open(self) -> Classifier:
        """The classifier of the bytes that were found when the run began."""
        path, options = self.candidate.path, dict(self.options)
        if self.candidate.name != path.name:
            raise BadWeights("its name holds characters that cannot be written down; rename it")
        named = options.get("model") is not None or options.get("factory") is not None
        classifier = load(**options, weights=path) if named else load(**{**options, "model": path})
        if (hash_model(path), hash_beside(path)) != (self.sha256, self.beside):
            raise BadWeights("it changed while the folder was scanned; run again")
        return classifier

    def _name(self, sentence: str) -> str:
        return f"{self.candidate.name}: {sentence}"


def _explain(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"its own code ended the program (exit {error.code})"
    return describe_failure(error) if isinstance(error, Exception) else str(error)
