"""Study 2: is an explanation that is computed from an example set biased by that set?

A watermark can be in two places: in the training images of a model, which then uses it, and in the example set from
which the model is explained. An explanation of the model should show the watermark exactly when the model uses it,
whatever the examples contain. Each model is explained for one class in four ways, three of which need examples, and the
share of the heat in the known region of the watermark is measured, as a multiple of the region's area.
"""

from phosphene.studies.bias.experiment import Settings
from phosphene.studies.bias.findings import run

__all__ = ["Settings", "run"]
