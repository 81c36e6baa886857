"""The map of every class of networks that others trained, by the preset `default`: docs/pictures/signatures.jpg.

    python -m benchmarks.signatures --models DIR

DIR has weights and a `cards.json`; networks of small images are drawn, a row each, those with a backdoor first. The
target of a backdoor is framed. Bare pictures, seed 0, nothing selected.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from benchmarks.estimates import draw_concepts
from phosphene.core.images import to_image
from phosphene.recipe.recipe import PRESETS
from phosphene.studies.signature.public import PublicNetwork, open_networks

PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "signatures.jpg"
CLASSES = 10
SIDE, GAP, MARGIN, HEAD = 96, 4, 150, 20
PAPER, INK, FRAME = (255, 255, 255), (20, 22, 26), (200, 30, 30)


def draw(networks: Sequence[PublicNetwork], path: Path) -> None:
    """A row a network, a column a class; the target of a backdoor has a frame."""
    canvas = Image.new("RGB", (MARGIN + CLASSES * (SIDE + GAP), HEAD + len(networks) * (SIDE + GAP)), PAPER)
    indices = [f"index:{index}" for index in range(CLASSES)]
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(12)
    for row, network in enumerate(networks):
        classifier, top = network.load().fold(), HEAD + row * (SIDE + GAP)
        pen.multiline_text((4, top + 30), network.name.replace("_", "\n", 1), fill=INK, font=font)
        for column, picture in enumerate(draw_concepts(classifier, indices, PRESETS["default"])):
            left = MARGIN + column * (SIDE + GAP)
            if row == 0:
                pen.text(
                    (left, 2), classifier.labels[column] if classifier.labels else str(column), fill=INK, font=font
                )
            canvas.paste(to_image(picture).resize((SIDE, SIDE), Image.Resampling.NEAREST), (left, top))
            if column == network.target:
                pen.rectangle((left - 3, top - 3, left + SIDE + 2, top + SIDE + 2), outline=FRAME, width=3)
    canvas.save(path, quality=88, optimize=True)
    print(path)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.signatures",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=PICTURE)
    options = parser.parse_args(arguments)
    networks = open_networks(options.models)
    draw(sorted(networks, key=lambda network: network.target is None), options.out)


if __name__ == "__main__":
    main()
