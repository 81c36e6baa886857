"""Study 4: does the map of a backdoor's target show the trigger? Clean twin and backdoored network side by side."""

from phosphene.studies.signature.experiment import Settings
from phosphene.studies.signature.findings import run

__all__ = ["Settings", "run"]
