"""Maps as an `explain_func` of Quantus (https://github.com/understandable-machine-intelligence-lab/Quantus, not
imported):

    explain = ModelExplainer(classifier.format)
    quantus.MPRT()(model=module, x_batch=x, y_batch=y, explain_func=explain)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from phosphene.adapters.class_maps import ClassMaps, expand_targets, resize_to
from phosphene.model.classifier import Classifier
from phosphene.model.input_format import InputFormat
from phosphene.recipe.recipe import PRESETS, Recipe


class ModelExplainer:
    """Maps of whatever model it is passed, such as one that MPRT has just randomised.

    Quantus passes its models tensors that are already normalised; `input_format` says how, because maps are made from
    images in [0,1]. Maps of the latest model are kept.
    """

    def __init__(self, input_format: InputFormat, recipe: Recipe = PRESETS["default"]) -> None:
        self.format, self.recipe = input_format, recipe
        self._latest: ClassMaps | None = None

    def __call__(
        self,
        model: nn.Module,
        inputs: np.ndarray | Tensor,
        targets: Sequence[int] | np.ndarray | Tensor,
        **options: Any,
    ) -> np.ndarray:
        """The signed map of each target, `(N, C, H, W)`; of `inputs` only the shape is used."""
        classifier = Classifier(model, self.format)
        if self._latest is None or self._latest.classifier.fingerprint != classifier.fingerprint:
            self._latest = ClassMaps(classifier, self.recipe)
        images = torch.empty(inputs.shape, device="meta")
        maps = self._latest.get(expand_targets(torch.as_tensor(targets), len(images)))
        attributions: np.ndarray = resize_to(maps, images).numpy()
        return attributions
