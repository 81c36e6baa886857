"""The pictures of the cells on one sheet, each with the number of its row in the table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from PIL import Image, ImageDraw

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "pictures"
TILE, CAPTION, COLUMNS = 96, 14, 12
QUALITY = 80


def write_sheets(pictures: Mapping[int, Path]) -> Path | None:
    """`docs/pictures/models.jpg`; nothing where there are no pictures."""
    if not pictures:
        return None
    rows = -(-len(pictures) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (TILE + 4), rows * (TILE + CAPTION + 4)), "white")
    draw = ImageDraw.Draw(sheet)
    for place, (number, path) in enumerate(pictures.items()):
        left, top = (place % COLUMNS) * (TILE + 4), (place // COLUMNS) * (TILE + CAPTION + 4)
        sheet.paste(Image.open(path), (left, top + CAPTION))
        draw.text((left + 2, top), str(number), fill="black")
    target = PICTURES / "models.jpg"
    sheet.save(target, quality=QUALITY, optimize=True)
    return target
