"""torchvision:NAME: torchvision's architecture, default weights and record."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from torch import Tensor, nn

from phosphene.errors import UnknownModel
from phosphene.model.input_format import InputFormat
from phosphene.model.sources.imagenet import imagenet_labels
from phosphene.model.sources.libraries import downloads, import_torchvision
from phosphene.model.sources.source import Source


def torchvision_source(name: str) -> Source:
    models = import_torchvision().models
    if name not in models.list_models(module=models):
        closest = difflib.get_close_matches(name, models.list_models(module=models), n=3)
        raise UnknownModel(f"torchvision has no classifier {name!r}; closest: {', '.join(closest) or 'none'}")
    record = models.get_model_weights(name).DEFAULT
    transform = record.transforms()
    size = transform.crop_size[0]
    categories = tuple(record.meta["categories"])

    def weights(module: nn.Module) -> Mapping[str, Tensor]:
        with downloads(f"torchvision:{name}"):
            state: Mapping[str, Tensor] = record.get_state_dict(progress=False)
            return state

    return Source(
        name=f"torchvision:{name}",
        build=lambda: models.get_model(name, weights=None),
        weights=weights,
        format=InputFormat((size, size), 3, tuple(transform.mean), tuple(transform.std)),
        labels=imagenet_labels() if len(categories) == 1000 else categories,
    )
