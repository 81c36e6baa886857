"""Study 3: the variety of concepts, the size of models, and training.

Maps of classes, sets of classes, differences and channels, by the same loop on models of growing size, each with the
predictions of the others; the paper's preset beside the default; and maps of a small model at each stage of its
training, from random weights on.
"""

from phosphene.studies.concepts.experiment import Settings
from phosphene.studies.concepts.findings import run

__all__ = ["Settings", "run"]
