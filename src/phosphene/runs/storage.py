"""What is kept of a finished map, and how exactly: all of it, or a tenth of its bytes.

Pictures follow from the map, its scale and its mask, so that a file without them says no less; only the development
is lost. Halved, a map has ten bits of every number, and importance and mask have 256 steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from phosphene.errors import BadInput
from phosphene.method.scaling import display_scale, render_pictures
from phosphene.recipe.recipe import Recipe

PLANES = ("importance", "mask")
PICTURES = ("picture", "raw_picture")
PARTS = ("pictures", "development", "png")
PRECISION = 1e-3  # of the largest value of a map: one that half precision would change by more stays as it is


@dataclass(frozen=True)
class Storage:
    """Whether an artifact holds its pictures as tensors and its development, whether a PNG lies beside it, and whether
    its numbers are halved. The map, its importance and its mask are always kept: everything else is computed from
    them."""

    pictures: bool = True
    development: bool = True
    png: bool = True
    halved: bool = False

    @property
    def tensors(self) -> tuple[str, ...]:
        """The names of the tensors in the file."""
        return ("map", *PLANES, *PICTURES * self.pictures, *("development",) * self.development)


FULL = Storage()
COMPACT = Storage(pictures=False, development=False, halved=True)


def parse_storage(text: str, *, halved: bool) -> Storage:
    """What a comma list of `PARTS` says to keep beside the map; `all` of them, or `none`."""
    kept = {"all": list(PARTS), "none": []}.get(text, [part.strip() for part in text.split(",")])
    if unknown := [part for part in kept if part not in PARTS]:
        raise BadInput(
            f"--keep is {text!r}, with {unknown[0]!r}; expected all, none, or some of {', '.join(PARTS)}, separated by "
            f"commas (map, importance and mask are always kept)"
        )
    return Storage(**{part: part in kept for part in PARTS}, halved=halved)


def encode(tensors: Mapping[str, Tensor], storage: Storage) -> dict[str, Tensor]:
    """The tensors of a map as its file has them."""
    kept = {name: tensors[name] for name in storage.tensors}
    if not storage.halved:
        return kept
    planes = {name: (kept[name].clamp(0, 1) * 255).round().to(torch.uint8) for name in PLANES}
    pictures = {name: kept[name].half() for name in PICTURES if name in kept}
    return {**kept, **planes, **pictures, "map": _halve(kept["map"])}


def decode(stored: Mapping[str, Tensor], composition: str) -> dict[str, Tensor]:
    """All tensors of a map from those in its file: float32, pictures rendered and the development without a frame
    where they were not kept. The inverse of `encode`: encoding what was decoded gives the same bytes."""
    tensors = {name: tensor.float() if name != "development" else tensor for name, tensor in stored.items()}
    for name in PLANES:
        if stored[name].dtype == torch.uint8:
            tensors[name] /= 255
    maps = torch.stack([tensors["map"] * tensors["mask"], tensors["map"]])
    if PICTURES[0] not in stored:
        tensors |= dict(zip(PICTURES, _render(maps, composition), strict=True))
    return {"development": torch.zeros(0, *tensors["map"].shape, dtype=torch.uint8), **tensors}


def _render(maps: Tensor, composition: str) -> Tensor:
    """The pictures of the refined and of the whole map, both at the scale of the whole one."""
    recipe = Recipe(composition=composition)
    return render_pictures(maps, recipe, display_scale(maps[1:], recipe))


def _halve(saliency: Tensor) -> Tensor:
    """The map in half precision, or as it is where that would change it: too large, or too small to have digits."""
    half = saliency.half()
    change = (half.float() - saliency).abs().max()
    return half if change <= PRECISION * saliency.abs().max() else saliency
