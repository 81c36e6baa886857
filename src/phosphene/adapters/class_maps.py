"""Maps by class index in the shape of somebody's images: what adapters to attribution libraries share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from phosphene.errors import BadInput
from phosphene.method.multires import estimate
from phosphene.model.classifier import Classifier
from phosphene.recipe.grammar import parse
from phosphene.recipe.recipe import Recipe

Target = int | Sequence[int] | Tensor | None


class ClassMaps:
    """The maps of one classifier by class index, each estimated at its first use and kept."""

    def __init__(self, classifier: Classifier, recipe: Recipe) -> None:
        self.classifier, self.recipe = classifier, recipe
        self._maps: dict[int, Tensor] = {}

    def get(self, indices: Sequence[int]) -> Tensor:
        """The signed maps of the classes, `(N, C, H, W)`."""
        missing = [index for index in dict.fromkeys(indices) if index not in self._maps]
        if missing:
            self._maps.update(zip(missing, self._estimate(missing), strict=True))
        return torch.stack([self._maps[index] for index in indices])

    def _estimate(self, indices: Sequence[int]) -> Iterator[Tensor]:
        """The map of each class, in batches that fit through the classifier at once."""
        fast, labels = self.classifier.fold(), self.classifier.labels
        concepts = [
            parse(str(index), labels, model=self.classifier.name, scored=self.recipe.score) for index in indices
        ]
        size = max(1, fast.batch_size // self.recipe.samples)
        for start in range(0, len(concepts), size):
            *_, last = estimate(fast, concepts[start : start + size], self.recipe)
            yield from last.maps().cpu()


def expand_targets(target: Target, images: int) -> list[int]:
    """One class index an image: a single one stands for all images. Raises `BadInput` for other numbers of them."""
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


def resize_to(maps: Tensor, images: Tensor) -> Tensor:
    """The maps `(N, C, h, w)` at the height and width of images `(N, C, H, W)`, on their device."""
    if images.ndim != 4 or images.shape[1] != maps.shape[1]:
        raise BadInput(f"got inputs of shape {tuple(images.shape)}; expected (N, {maps.shape[1]}, H, W)")
    if images.shape[2:] != maps.shape[2:]:
        maps = F.interpolate(maps, size=images.shape[2:], mode="bilinear", antialias=True)
    return maps if images.device.type == "meta" else maps.to(images.device)
