"""What can go wrong, as one tree.

    PhospheneError                     every error a user can mend; the command line prints it as one line and exits 2
    ├── UnknownConcept                 a name or index that the model does not have
    ├── UnknownModel                   a model name that no source knows, or weights that cannot be had
    ├── UnsafeWeights                  a file that could run code when loaded
    ├── BadWeights                     a weights file that is missing, unreadable or does not fit
    ├── BadInput                       an option, shape or setting that makes no sense
    ├── FailedCheck                    the model does not behave as a classifier must; `check` names how
    ├── MeaninglessScore               a score that is not finite, constant, or measured on nothing
    ├── WorkerDied                     a process that made maps ended without a word; finished maps are kept
    └── ArtifactError                  an output folder or file that cannot be used
        ├── DamagedArtifact            a file that is not what was once written
        └── OtherRecipe                a finished map of another recipe stands where this one would go

Every message says what was got, what was expected and what to do.
"""

from __future__ import annotations


class PhospheneError(Exception):
    """Root of every error that a user can mend."""


class UnknownConcept(PhospheneError):
    """The model has no class of that name or index."""


class UnknownModel(PhospheneError):
    """No source knows the model, or its weights are not to be had."""


class UnsafeWeights(PhospheneError):
    """The file holds more than plain tensors and could run code when loaded."""


class BadWeights(PhospheneError):
    """The weights file is missing, unreadable or does not fit the architecture."""


class BadInput(PhospheneError):
    """An option, a shape or a setting that makes no sense."""


class FailedCheck(PhospheneError):
    """The model failed the named check of `phosphene.checks`."""

    def __init__(self, check: str, message: str) -> None:
        super().__init__(check, message)  # both, so that it can be sent from one process to another
        self.check, self.message = check, message

    def __str__(self) -> str:
        return self.message


class MeaninglessScore(PhospheneError):
    """A score that cannot mean anything: NaN or infinite, the same whatever is measured, or of zero samples."""


class WorkerDied(PhospheneError):
    """A process that made maps was killed or crashed."""


class ArtifactError(PhospheneError):
    """An output folder or file cannot be read or written."""


class DamagedArtifact(ArtifactError):
    """The file's bytes are not those that were written."""


class OtherRecipe(ArtifactError):
    """A finished map made with another recipe is in the way."""
