"""torchvision:NAME: torchvision's architecture, default weights and record."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn

from phosphene.errors import UnknownModel
from phosphene.model.input_format import InputFormat
from phosphene.model.sources.imagenet import imagenet_labels
from phosphene.model.sources.libraries import downloads, import_torchvision
from phosphene.model.sources.own_head import reshape_torchvision
from phosphene.model.sources.source import Shape, Source

# What torchvision sets only where it loads its own weights: these two were trained on images in [-1,1].
TRANSFORMED = ("inception_v3", "googlenet")


def torchvision_source(name: str) -> Source:
    models = import_torchvision().models
    if name not in models.list_models(module=models):
        closest = difflib.get_close_matches(name, models.list_models(module=models), n=3)
        raise UnknownModel(f"torchvision has no classifier {name!r}; closest: {', '.join(closest) or 'none'}")
    record = models.get_model_weights(name).DEFAULT
    transform = record.transforms()
    size = transform.crop_size[0]
    categories = tuple(record.meta["categories"])

    def build_pretrained() -> nn.Module:
        with downloads(f"torchvision:{name}"):
            module: nn.Module = models.get_model(name, weights=record, progress=False)
            return module

    return Source(
        name=f"torchvision:{name}",
        build=lambda: _build(name),
        weights=None,
        pretrained=build_pretrained,
        format=InputFormat((size, size), 3, tuple(transform.mean), tuple(transform.std)),
        labels=imagenet_labels() if len(categories) == 1000 else categories,
        reshape=lambda state, size: _reshape(name, state, size),
    )


def _build(name: str, **changes: Any) -> nn.Module:
    """The architecture as it is fed by its record, without weights."""
    if name in TRANSFORMED:
        changes = {"transform_input": True, "init_weights": False, **changes}
    module: nn.Module = import_torchvision().models.get_model(name, weights=None, **changes)
    return module


def _reshape(name: str, state: Mapping[str, Tensor], size: tuple[int, int] | None) -> tuple[nn.Module, Shape]:
    build = partial(_build, name)
    if name in TRANSFORMED:  # heads that only training uses: a file has them or not
        build = partial(build, aux_logits=any(one.startswith(("AuxLogits.", "aux1.")) for one in state))
    return reshape_torchvision(build, state, size)
