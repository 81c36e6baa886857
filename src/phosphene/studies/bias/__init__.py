"""Study 2: is an explanation that is made of an example set biased by that set?

A watermark can stand in two places: in what a model was trained on, so that the model uses it, and in the example set
from which somebody explains the model. An explanation of the model should show the watermark exactly when the model
uses it, whatever the examples hold. Each model is asked for one class in four ways, three of which need examples, and
the share of the heat in the known region of the watermark is measured, as a multiple of the region's area.
"""

from phosphene.studies.bias.experiment import Settings
from phosphene.studies.bias.findings import run

__all__ = ["Settings", "run"]
