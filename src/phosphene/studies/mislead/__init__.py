"""Study 1: is input-specific saliency open to misleading attribution?

An imperceptible stamp, one for each class B and the same for all photographs, makes the model predict B for photograph
A. The stamp is itself an input-agnostic map on the pixel surface, within a ball so small that the change is invisible,
and so the cause of the prediction is known exactly. Then each method explains the prediction of B on the stamped
photograph.

Three questions, after the first claim of Akhtar & Jalwana (AAAI 2023): (a) does the heat lie on the object of A, or
where the cause is? (b) does the heat depend on the class that is explained? (c) does it change when only a constant is
added to every image and subtracted again inside the network (Kindermans et al., 2019)?
"""

from phosphene.studies.mislead.experiment import Settings
from phosphene.studies.mislead.findings import run

__all__ = ["Settings", "run"]
