"""See what an image classifier sees when it is shown nothing.

    import phosphene

    classifier = phosphene.load("efficientnet_lite0")
    goldfish, stripes = phosphene.make_maps(classifier, ["goldfish", "zebra - sorrel"], out="maps")

The method, step by step, is in `phosphene.estimator`; everything public is listed in `__all__`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from phosphene.artifact import SaliencyMap as SaliencyMap
    from phosphene.classifier import Classifier as Classifier
    from phosphene.classifier import InputFormat as InputFormat
    from phosphene.concepts import Concept as Concept
    from phosphene.errors import PhospheneError as PhospheneError
    from phosphene.estimator import estimate as estimate
    from phosphene.jobs import make_maps as make_maps
    from phosphene.recipe import PRESETS as PRESETS
    from phosphene.recipe import Recipe as Recipe
    from phosphene.sources import load as load

_HOMES = {
    "Classifier": "classifier",
    "Concept": "concepts",
    "InputFormat": "classifier",
    "PRESETS": "recipe",
    "PhospheneError": "errors",
    "Recipe": "recipe",
    "SaliencyMap": "artifact",
    "estimate": "estimator",
    "load": "sources",
    "make_maps": "jobs",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: `phosphene --help` must not wait for torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
