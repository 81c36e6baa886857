"""Study 3: the variety of concepts, the size of models, and training.

Maps of classes, sets of classes, differences and channels, made by the same loop on models of growing size, each read
by the others; the paper's choices beside the default's; and a small model that is asked at each stage of its training,
from random weights on, when its concepts appear.
"""

from phosphene.studies.concepts.experiment import Settings
from phosphene.studies.concepts.findings import run

__all__ = ["Settings", "run"]
