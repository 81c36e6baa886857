"""timm:NAME: timm's architecture, weights and record."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from torch import Tensor, nn

from phosphene.errors import UnknownModel
from phosphene.model.input_format import InputFormat
from phosphene.model.sources.imagenet import imagenet_labels
from phosphene.model.sources.libraries import downloads, import_timm
from phosphene.model.sources.source import Source


def timm_source(name: str) -> Source:
    timm = import_timm()
    try:
        config = timm.get_pretrained_cfg(name)
    except RuntimeError:  # a tag that timm does not know
        config = None
    if config is None or not timm.is_model(name):
        closest = difflib.get_close_matches(name.split(".")[0], timm.list_models(), n=3)
        raise UnknownModel(f"timm has no model {name!r}; closest: {', '.join(closest) or 'none'}")
    channels, height, width = config.input_size

    def weights(module: nn.Module) -> Mapping[str, Tensor]:
        with downloads(f"timm:{name}"):
            state: Mapping[str, Tensor] = timm.create_model(name, pretrained=True).state_dict()
            return state

    return Source(
        name=f"timm:{name}",
        build=lambda: timm.create_model(name, pretrained=False),
        weights=weights,
        format=InputFormat((height, width), channels, tuple(config.mean), tuple(config.std)),
        labels=imagenet_labels() if config.num_classes == 1000 else None,
    )
