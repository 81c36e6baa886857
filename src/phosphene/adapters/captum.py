"""Maps as a Captum attribution method (https://captum.ai, not imported):

    method = InputAgnostic(classifier)
    attributions = method.attribute(images, target=207)

Of the images only the shape is used: a map explains the model, and is the same whatever the image shows.
"""

from __future__ import annotations

from torch import Tensor

from phosphene.adapters.class_maps import ClassMaps, Target, expand_targets, resize_to
from phosphene.errors import BadInput
from phosphene.model.classifier import Classifier
from phosphene.recipe.recipe import PRESETS, Recipe


class InputAgnostic:
    """An attribution method with Captum's `attribute`; the map of a class is made at its first use, and kept."""

    def __init__(self, classifier: Classifier, recipe: Recipe = PRESETS["default"]) -> None:
        self._maps = ClassMaps(classifier, recipe)

    def attribute(
        self, inputs: Tensor | tuple[Tensor, ...], target: Target = None, **options: object
    ) -> Tensor | tuple[Tensor, ...]:
        """The signed map of each target in the shape of the inputs `(N, C, H, W)`, whose values are not read.

        As with Captum a tuple of one tensor gives a tuple, one target stands for all images, and further options are
        accepted; none of them changes a map.
        """
        if isinstance(inputs, tuple) and len(inputs) != 1:
            raise BadInput(f"got {len(inputs)} input tensors; expected one, the images")
        images = inputs[0] if isinstance(inputs, tuple) else inputs
        attributions = resize_to(self._maps.get(expand_targets(target, len(images))), images)
        return (attributions,) if isinstance(inputs, tuple) else attributions
