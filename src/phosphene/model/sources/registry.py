"""Which sources there are, and the record of a model by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from phosphene.errors import UnknownModel
from phosphene.model.sources.bundled import BUNDLED
from phosphene.model.sources.clip import clip_source
from phosphene.model.sources.source import Source
from phosphene.model.sources.timm_models import timm_source
from phosphene.model.sources.torchvision_models import torchvision_source

FAMILIES: dict[str, Callable[[str], Source]] = {
    "timm": timm_source,
    "torchvision": torchvision_source,
    "clip": clip_source,
}


def find(model: str) -> Source:
    """The record of a model by name; raises `UnknownModel` with the closest names."""
    if model in BUNDLED:
        return BUNDLED[model]()
    family, _, name = model.partition(":")
    if family in FAMILIES and name:
        return FAMILIES[family](name)
    closest = difflib.get_close_matches(model, [*BUNDLED, *(f"{family}:" for family in FAMILIES)], n=2, cutoff=0.4)
    hint = f" (closest: {', '.join(closest)})" if closest else ""
    expected = ", ".join(BUNDLED) + ", timm:NAME, torchvision:NAME or clip:FOLDER"
    raise UnknownModel(f"no model is called {model!r}; expected {expected}{hint}")


def known_models() -> dict[str, str]:
    """Names that `load` takes, with a line about each."""
    families = dict.fromkeys((f"{family}:NAME" for family in FAMILIES), "weights of the library, kept in its own cache")
    families["clip:NAME"] = "images and texts: a folder, ORG/NAME of transformers, or ARCHITECTURE@TAG of open_clip"
    return dict.fromkeys(BUNDLED, "ImageNet, weights from a pip package") | families
