"""Maps in the shape that attribution libraries expect, so that their tools run on ours.

    method = InputAgnostic(classifier)                                   # Captum: what has an `attribute`
    attributions = method.attribute(images, target=207)

    explain = ModelExplainer(classifier.format)                          # Quantus: an `explain_func`
    quantus.MPRT()(model=module, x_batch=x, y_batch=y, explain_func=explain)

Of the input only the shape is used: a map answers for the model, and is the same whatever the image shows. Captum
(https://captum.ai) and Quantus (https://github.com/understandable-machine-intelligence-lab/Quantus) are not imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phosphene.errors import BadInput
from phosphene.method.multires import estimate
from phosphene.model.classifier import Classifier
from phosphene.model.input_format import InputFormat
from phosphene.recipe.grammar import parse
from phosphene.recipe.recipe import PRESETS, Recipe

Target = int | Sequence[int] | Tensor | None


class InputAgnostic:
    """A Captum-style attribution method; the map of a class is made when it is first asked for, and kept."""

    def __init__(self, classifier: Classifier, recipe: Recipe = PRESETS["default"]) -> None:
        self.classifier, self.recipe = classifier, recipe
        self._maps: dict[int, Tensor] = {}

    def attribute(
        self, inputs: Tensor | tuple[Tensor, ...], target: Target = None, **ignored: object
    ) -> Tensor | tuple[Tensor, ...]:
        """The signed map of each target in the shape of the inputs `(N, C, H, W)`, which are not looked at.

        As with Captum a tuple of one tensor gives a tuple, one target stands for all images, and further options are
        taken; none of them changes a map.
        """
        images = inputs[0] if isinstance(inputs, tuple) else inputs
        if isinstance(inputs, tuple) and len(inputs) != 1:
            raise BadInput(f"got {len(inputs)} input tensors; expected one, the images")
        indices = _indices(target, len(images))
        attributions = _shaped(self.maps(indices), images)
        return (attributions,) if isinstance(inputs, tuple) else attributions

    def maps(self, indices: Sequence[int]) -> Tensor:
        """The signed maps of the classes, `(N, C, H, W)`."""
        missing = [index for index in dict.fromkeys(indices) if index not in self._maps]
        self._maps |= _estimated(self.classifier, missing, self.recipe) if missing else {}
        return torch.stack([self._maps[index] for index in indices])


class ModelExplainer:
    """A Quantus `explain_func`: maps of whatever model it is handed, such as one that MPRT has just randomised.

    Quantus shows its models tensors that are already normalised; `input_format` says how, for the maps are made from
    images in [0,1]. Maps of the latest model are kept.
    """

    def __init__(self, input_format: InputFormat, recipe: Recipe = PRESETS["default"]) -> None:
        self.format, self.recipe = input_format, recipe
        self._latest: InputAgnostic | None = None

    def __call__(
        self,
        model: nn.Module,
        inputs: np.ndarray | Tensor,
        targets: Sequence[int] | np.ndarray | Tensor,
        **ignored: Any,
    ) -> np.ndarray:
        """The signed map of each target, `(N, C, H, W)`; of `inputs` only the shape is used."""
        classifier = Classifier(model, self.format)
        if self._latest is None or self._latest.classifier.fingerprint != classifier.fingerprint:
            self._latest = InputAgnostic(classifier, self.recipe)
        shape = torch.empty(inputs.shape, device="meta")
        indices = _indices(torch.as_tensor(targets), len(shape))
        found: np.ndarray = _shaped(self._latest.maps(indices), shape).numpy()
        return found


def _indices(target: Target, images: int) -> list[int]:
    """One class an image."""
    if target is None:
        raise BadInput("target is None; expected the index of a class, or one for each image")
    if isinstance(target, int):
        return [target] * images
    indices = [int(index) for index in torch.as_tensor(target).flatten()]
    if len(indices) == 1:
        return indices * images
    if len(indices) != images:
        raise BadInput(f"got {len(indices)} targets for {images} images; expected one, or one for each")
    return indices


def _shaped(maps: Tensor, images: Tensor) -> Tensor:
    """The maps at the images' height and width, on their device."""
    if images.ndim != 4 or images.shape[1] != maps.shape[1]:
        raise BadInput(f"got inputs of shape {tuple(images.shape)}; expected (N, {maps.shape[1]}, H, W)")
    if images.shape[2:] != maps.shape[2:]:
        maps = F.interpolate(maps, size=images.shape[2:], mode="bilinear", antialias=True)
    return maps if images.device.type == "meta" else maps.to(images.device)


def _estimated(classifier: Classifier, indices: Sequence[int], recipe: Recipe) -> dict[int, Tensor]:
    """The map of each class, made in batches of the classifier's rows."""
    fast = classifier.fold()
    found: dict[int, Tensor] = {}
    concepts = [parse(str(index), classifier.labels, model=classifier.name, scored=recipe.score) for index in indices]
    size = max(1, fast.batch_size // recipe.samples)
    for start in range(0, len(indices), size):
        *_, last = estimate(fast, concepts[start : start + size], recipe)
        found |= dict(zip(indices[start : start + size], last.maps().cpu(), strict=True))
    return found
