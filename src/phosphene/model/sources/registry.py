"""Which sources there are, and the record of a model by name or path."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

from phosphene.errors import UnknownModel
from phosphene.model.sources.bundled import BUNDLED
from phosphene.model.sources.clip import clip_source
from phosphene.model.sources.huggingface import huggingface_source
from phosphene.model.sources.paths import FILES, FOLDERS, path_source
from phosphene.model.sources.source import Source
from phosphene.model.sources.timm_models import timm_hub_source, timm_source
from phosphene.model.sources.torchvision_models import torchvision_source

FAMILIES: dict[str, Callable[[str], Source]] = {
    "timm": timm_source,
    "torchvision": torchvision_source,
    "hf": huggingface_source,
    "hf-hub": timm_hub_source,
    "clip": clip_source,
}
MEANINGS = {
    "timm": "weights of the library, kept in its own cache; `timm:local-dir:FOLDER` for a folder of timm's",
    "torchvision": "weights of the library, kept in its own cache",
    "hf": "an image classifier of transformers, ORG/NAME",
    "hf-hub": "a model of timm on the same hub, ORG/NAME",
    "clip": "images and texts: a folder, ORG/NAME of transformers, or ARCHITECTURE@TAG of open_clip",
}


def is_name(model: str) -> bool:
    """Whether MODEL is a name, which wins over a file that is called the same."""
    family, _, name = model.partition(":")
    return model in BUNDLED or bool(family in FAMILIES and name)


def find(model: str, *, trust_pickle: bool = False) -> Source:
    """The record of a model by name or path; raises `UnknownModel` with the closest names."""
    if model in BUNDLED:
        return BUNDLED[model]()
    family, _, name = model.partition(":")
    if family in FAMILIES and name:
        return FAMILIES[family](name)
    if model and Path(model).exists():
        return path_source(Path(model), trust_pickle=trust_pickle)
    closest = difflib.get_close_matches(model, [*BUNDLED, *(f"{family}:" for family in FAMILIES)], n=2, cutoff=0.4)
    hint = f" (closest: {', '.join(closest)})" if closest else ""
    families = ", ".join(f"{family}:NAME" for family in FAMILIES)
    raise UnknownModel(
        f"no model is called {model!r}, and no file or folder is there; expected {', '.join(BUNDLED)}, {families} or "
        f"the path of a model{hint}"
    )


def known_models() -> dict[str, str]:
    """What `load` takes as a model, with a line about each."""
    families = {f"{family}:NAME": MEANINGS[family] for family in FAMILIES}
    paths = {"FOLDER": FOLDERS, "FILE": FILES}
    return (
        dict.fromkeys(BUNDLED, "ImageNet, weights from a pip package")
        | families
        | {"FILE.onnx": "an ONNX file; docs/onnx.md says what is read from it"}
        | {name: "; ".join(known.means for known in formats.values()) for name, formats in paths.items()}
    )
