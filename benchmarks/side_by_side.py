"""The same classes as several networks hold them, by the preset `default`: docs/pictures/first.jpg.

    python -m benchmarks.side_by_side --network PATH --network PATH

EfficientNet-Lite0 comes from pip; others are files of the user's own, beside a `cards.json` (`benchmarks.judges`), or
names of models. Bare pictures, one start of seed 0 and restarts where a network does not see its own; none selected.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont

from benchmarks.estimates import draw_concepts
from benchmarks.judges import open_network, title_of
from phosphene.core.images import to_image
from phosphene.model.sources.imagenet import imagenet_labels
from phosphene.recipe.recipe import PRESETS

PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "first.jpg"
CLASSES = ("goldfish", "golden retriever", "zebra", "daisy", "barn", "flamingo", "giant panda", "traffic light")
SIDE, GAP, HEAD, FOOT = 200, 4, 24, 6
PAPER, INK = (255, 255, 255), (20, 22, 26)


def draw(networks: Sequence[str], path: Path) -> None:
    """A row a network, a column a class."""
    size = (len(CLASSES) * (SIDE + GAP), len(networks) * (HEAD + SIDE + GAP) + HEAD + FOOT)
    canvas = Image.new("RGB", size, PAPER)
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(16)
    names = [next(label for label in imagenet_labels() if name in label.split(", ")) for name in CLASSES]
    for column, name in enumerate(CLASSES):
        pen.text((column * (SIDE + GAP) + 4, len(networks) * (HEAD + SIDE + GAP) + 4), name, fill=INK, font=font)
    for row, network in enumerate(networks):
        classifier = open_network(network).fold()
        top = row * (HEAD + SIDE + GAP)
        pen.text((4, top + 2), title_of(classifier), fill=INK, font=font)
        for start in range(0, len(names), 4):
            for offset, picture in enumerate(draw_concepts(classifier, names[start : start + 4], PRESETS["default"])):
                tile = F.interpolate(picture[None], size=(SIDE, SIDE), mode="bicubic", antialias=True)[0].clamp(0, 1)
                canvas.paste(to_image(tile), ((start + offset) * (SIDE + GAP), top + HEAD))
    canvas.save(path, quality=85, optimize=True)
    print(path)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.side_by_side",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--network", action="append", default=[], help="weights beside a cards.json, or a name")
    parser.add_argument("--out", type=Path, default=PICTURE)
    options = parser.parse_args(arguments)
    draw(["efficientnet_lite0", *options.network], options.out)


if __name__ == "__main__":
    main()
