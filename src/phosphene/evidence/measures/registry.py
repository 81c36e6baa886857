"""The measures of evidence, in the order in which they are shown."""

from __future__ import annotations

from typing import Any

from phosphene.evidence.measure import Measure
from phosphene.evidence.measures.agnosticity import Agnosticity
from phosphene.evidence.measures.classes import OtherClasses
from phosphene.evidence.measures.complexity import Complexity
from phosphene.evidence.measures.entanglement import Entanglement
from phosphene.evidence.measures.gain import Gain
from phosphene.evidence.measures.recognition import Recognition
from phosphene.evidence.measures.refinement import Refinement
from phosphene.evidence.measures.sanity import Sanity
from phosphene.evidence.measures.stability import Stability

MEASURES: dict[str, Measure[Any, Any]] = {
    "recognition": Recognition(),
    "agnosticity": Agnosticity(),
    "gain": Gain(),
    "sanity": Sanity(),
    "classes": OtherClasses(),
    "stability": Stability(),
    "entanglement": Entanglement(),
    "complexity": Complexity(),
    "refinement": Refinement(),
}
