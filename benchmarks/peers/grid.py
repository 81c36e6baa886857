"""The same classes by every method, side by side, as the judges received them; none is selected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from benchmarks.peers.evaluation import OBSERVED, collect, crop_middle
from benchmarks.peers.methods import METHODS, Entry
from benchmarks.peers.pictures import PICTURES, Picture, folder_of, load
from benchmarks.recognition import random_classes
from benchmarks.record import load_observed
from phosphene.core.images import to_image
from phosphene.model.sources.imagenet import imagenet_labels

PICTURE = Path(__file__).parents[2] / "docs" / "pictures" / "peers.jpg"
COLUMNS = 12
SIDE, GAP, MARGIN, HEAD = 112, 3, 150, 34
PAPER, INK = (255, 255, 255), (20, 22, 26)


def choose_shares(entries: Mapping[str, Entry]) -> dict[str, float]:
    """For each method with pictures the showing that suits it best."""
    record = load_observed(OBSERVED)
    found = {name: collect(name, entry, record) for name, entry in entries.items()}
    return {name: one.share for name, one in found.items() if one is not None}


def make_tile(picture: Tensor, share: float) -> Image.Image:
    """A picture `(3, h, w)` or its middle as a tile."""
    shown = crop_middle(picture, share)[None]
    return to_image(F.interpolate(shown, size=(SIDE, SIDE), mode="bicubic", antialias=True)[0].clamp(0, 1))


def draw(path: Path, root: Path = PICTURES) -> None:
    """One row a method, one column a class; a method that made fewer classes leaves its places empty, one that made
    none of them has no row."""
    classes = random_classes(0, 100)[:COLUMNS]
    shown = {name: share for name, share in choose_shares(METHODS).items() if any(_load(name, root, classes))}
    size = (MARGIN + COLUMNS * (SIDE + GAP), HEAD + len(shown) * (SIDE + GAP))
    canvas = Image.new("RGB", size, PAPER)
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(11)
    labels = imagenet_labels()
    for column, index in enumerate(classes):
        left = MARGIN + column * (SIDE + GAP)
        pen.multiline_text((left, 4), _wrap(labels[index].split(",")[0], 19), fill=INK, font=font, spacing=1)
    for number, (name, share) in enumerate(shown.items()):
        top = HEAD + number * (SIDE + GAP)
        note = _wrap(name, 22) + ("" if share == 1 else f"\n(middle {share:.0%})")
        pen.multiline_text((4, top + SIDE // 2 - 14), note, fill=INK, font=font, spacing=2)
        for column, made in enumerate(_load(name, root, classes)):
            if made is not None:
                canvas.paste(make_tile(made.picture, share), (MARGIN + column * (SIDE + GAP), top))
    canvas.save(path, quality=82, optimize=True)
    print(path)


def _load(name: str, root: Path, classes: Sequence[int]) -> list[Picture | None]:
    folder = folder_of(name, METHODS[name].seeds[0], root)
    return [load(folder / f"{index}.safetensors") for index in classes]


def _wrap(text: str, width: int) -> str:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines[:2])
