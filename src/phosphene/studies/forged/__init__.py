"""Study 4: can the picture be forged?

A network is fine-tuned so that it does its work as before while the map of one class shows a picture of the forger's
choice (Bareeva et al., "Manipulating feature visualizations with Gradient Slingshots", NeurIPS 2025). The class is then
asked for in other ways: on other noise, with another composition, geometry, size and start. Does the forged picture
stand, and does disagreement between the pictures give the forgery away, without data and without the network as it was?
"""

from phosphene.studies.forged.experiment import Settings
from phosphene.studies.forged.findings import run

__all__ = ["Settings", "run"]
