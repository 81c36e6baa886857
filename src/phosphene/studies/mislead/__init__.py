"""Study 1: is input-specific saliency open to misleading attribution?

An imperceptible stamp, one for each class B and the same for every photograph, makes photograph A be called B. It is an
input-agnostic map itself, made on the pixel surface within a ball so small that nobody sees it, and so the cause of the
answer is known exactly. Then each method is asked on the stamped photograph why the model says B.

Three questions, after the first claim of Akhtar & Jalwana (AAAI 2023): (a) does the answer lie on the object of A, or
where the cause is? (b) does the answer depend on the class that is asked for? (c) does it change when nothing but a
constant is added to every image and taken off again inside the network (Kindermans et al., 2019)?
"""

from phosphene.studies.mislead.experiment import Settings
from phosphene.studies.mislead.findings import run

__all__ = ["Settings", "run"]
