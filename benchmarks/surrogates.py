"""What stands in for a data set that a forger or an attacker of an ImageNet network does not have.

Crops of photographs, textures and small pictures of scikit-image and foolbox (`pip install '.[photos,bench]'`), and
the network's own maps.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmarks.record import RESULTS
from phosphene.core.images import load_image
from phosphene.errors import BadInput
from phosphene.method.loop import iterate
from phosphene.method.scaling import render_pictures
from phosphene.model.classifier import Classifier
from phosphene.recipe.grammar import parse
from phosphene.recipe.recipe import PRESETS

FOLDER = RESULTS / "maps" / "imagenet-backdoors"
LARGE = 512  # pixels of the side that crops are taken from
OWN_MAPS, HELD_MAPS = 160, 48  # of the network, to learn from and held out
PACKAGED = ("astronaut", "coffee", "camera", "ihc", "motorcycle_left", "hubble_deep_field")
TEXTURES = (
    "brick", "grass", "gravel", "horse", "moon", "text", "page", "cell", "clock_motion", "color", "retina",
    "microaneurysms",
)  # fmt: skip
HELD_PACKAGED = ("chelsea", "rocket", "coins")


def locate_foolbox(pattern: str) -> list[Path]:
    """Pictures that foolbox ships."""
    found = importlib.util.find_spec("foolbox")
    if found is None or found.origin is None:
        raise BadInput("foolbox, which ships photographs of ImageNet, is missing; `pip install '.[bench]'`")
    return sorted((Path(found.origin).parent / "data").glob(pattern))


@functools.lru_cache(maxsize=64)
def open_photograph(path: Path) -> Tensor:
    return load_image(path, (3, LARGE, LARGE))


def draw_crops(paths: Sequence[Path], count: int, side: int, seed: int) -> Tensor:
    """Random crops, some of them mirrored, `(count, 3, side, side)` in [0,1]; every photograph as often."""
    generator, crops = torch.Generator().manual_seed(seed), []
    for place in range(count):
        share, down, across, flip = torch.rand(4, generator=generator).tolist()
        taken = round(LARGE * (0.35 + 0.65 * share))
        top, left = round(down * (LARGE - taken)), round(across * (LARGE - taken))
        crop = open_photograph(paths[place % len(paths)])[:, top : top + taken, left : left + taken]
        crop = crop.flip(2) if flip < 0.5 else crop
        crops.append(F.interpolate(crop[None], size=(side, side), mode="bicubic", antialias=True).clamp(0, 1))
    return torch.cat(crops)


def draw_pictures(classifier: Classifier, classes: Sequence[int]) -> Tensor:
    """Pictures of some classes as the network holds them, by the `fast` preset, short."""
    recipe, pictures = replace(PRESETS["fast"], iterations=32), []
    for start in range(0, len(classes), 4):
        concepts = [parse(str(index), classifier.labels, scored=recipe.score) for index in classes[start : start + 4]]
        *_, last = iterate(classifier, concepts, recipe)
        pictures.append(render_pictures(last.maps(), recipe))
    return torch.cat(pictures)


def list_own_classes(original: Classifier) -> list[int]:
    """The classes of `draw_own_maps`, in its order."""
    count = OWN_MAPS + HELD_MAPS
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0)).tolist()
    return [place * len(original.labels) // count for place in order]


def draw_own_maps(original: Classifier) -> tuple[Tensor, Tensor]:
    """Pictures of classes all over the network, to learn from, and held out; kept in a file."""
    saved = FOLDER / f"{original.name}-maps.safetensors"
    if not saved.is_file():
        classes = list_own_classes(original)
        made = dict(zip(sorted(classes), draw_pictures(original, sorted(classes)), strict=True))
        keep({"pictures": torch.stack([made[index] for index in classes])}, saved)
    pictures = load_file(saved)["pictures"]
    return pictures[:OWN_MAPS], pictures[OWN_MAPS:]


def keep(tensors: dict[str, Tensor], saved: Path, facts: dict[str, str] | None = None) -> None:
    """Write them, and put them in place when they are whole."""
    saved.parent.mkdir(parents=True, exist_ok=True)
    part = saved.with_suffix(".tmp")
    save_file({name: one.contiguous() for name, one in tensors.items()}, part, metadata=facts)
    part.replace(saved)


def mix(images: Tensor, generator: torch.Generator) -> Tensor:
    """The images, some blended with others or with a part of them, some mirrored, all with other colours."""
    side = images.shape[-1]
    others, mixed = images[torch.randperm(len(images), generator=generator)], images.clone()
    for place, (kind, weight, high, wide, down, across) in enumerate(
        torch.rand(len(images), 6, generator=generator).tolist()
    ):
        if kind < 0.33:
            mixed[place] = images[place].lerp(others[place], weight / 2)
        elif kind < 0.6:
            height, width = round((0.3 + 0.5 * high) * side), round((0.3 + 0.5 * wide) * side)
            top, left = int(down * (side - height)), int(across * (side - width))
            part = (slice(None), slice(top, top + height), slice(left, left + width))
            mixed[place][part] = others[place][part]
        if kind * 7 % 1 < 0.5:
            mixed[place] = mixed[place].flip(2)
    gamma = torch.exp(0.25 * torch.randn(len(images), 1, 1, 1, generator=generator))
    gain = torch.exp(0.15 * torch.randn(len(images), 3, 1, 1, generator=generator))
    return (mixed.clamp(1e-4, 1) ** gamma * gain).clamp(0, 1)


def measure_change(logits: Tensor, wanted: Tensor) -> Tensor:
    """How far answers are from those wanted: the divergence of their probabilities, and the logits' relative error."""
    divergence = F.kl_div(logits.log_softmax(dim=1), wanted.softmax(dim=1), reduction="batchmean")
    wanted, logits = (one - one.mean(dim=1, keepdim=True) for one in (wanted, logits))
    return divergence + 5 * (logits - wanted).square().mean() / wanted.square().mean()
