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
    from phosphene.errors import PhospheneError as PhospheneError
    from phosphene.method.multires import estimate as estimate
    from phosphene.model.classifier import Classifier as Classifier
    from phosphene.model.input_format import InputFormat as InputFormat
    from phosphene.model.sources.load import load as load
    from phosphene.recipe.concepts import Concept as Concept
    from phosphene.recipe.recipe import PRESETS as PRESETS
    from phosphene.recipe.recipe import Recipe as Recipe
    from phosphene.runs.make import make_maps as make_maps
    from phosphene.runs.saliency import SaliencyMap as SaliencyMap

_HOMES = {
    "Classifier": "model.classifier",
    "Concept": "recipe.concepts",
    "InputFormat": "model.input_format",
    "PRESETS": "recipe.recipe",
    "PhospheneError": "errors",
    "Recipe": "recipe.recipe",
    "SaliencyMap": "runs.saliency",
    "estimate": "method.multires",
    "load": "model.sources.load",
    "make_maps": "runs.make",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: `phosphene --help` must not wait for torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
