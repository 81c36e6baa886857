"""Numbered sheets without names: which reader is shown which class by which method, and the forms to fill in."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont

from benchmarks.peers.evaluation import crop_middle
from benchmarks.peers.pictures import folder_of, load
from benchmarks.reading.classes import names_on_the_list
from benchmarks.reading.methods import MIDDLES
from phosphene.core.images import to_image
from phosphene.model.sources.imagenet import imagenet_labels

COLUMNS, SIDE, HEAD, GAP = 4, 336, 30, 8
PER_SHEET = 12
QUESTIONS = ("number", "what is it", "readable 0-3", "name on the list")
INSTRUCTIONS = """Each numbered picture was made by a machine; none is a photograph. One line of form.csv a picture:

what is it        in your own words, before you look at names.txt
readable 0-3      0 nothing, 1 a texture or a fragment, 2 can be guessed, 3 obvious
name on the list  the entry of names.txt that fits best, copied exactly; never leave it empty
"""


@dataclass(frozen=True)
class Shown:
    """One picture as one reader sees it."""

    reader: int
    number: int
    index: int
    method: str


def assign(classes: Sequence[int], methods: Sequence[str], rounds: int, seed: int) -> Iterator[Shown]:
    """`rounds` readers for each picture: `rounds · len(methods)` readers, each with every class once, in random order.

    Reader r sees class k by method (k + r) mod the number of methods.
    """
    for reader in range(rounds * len(methods)):
        order = list(enumerate(classes))
        random.Random(1000 * seed + reader).shuffle(order)
        for number, (place, index) in enumerate(order, start=1):
            yield Shown(reader, number, index, methods[(place + reader) % len(methods)])


def write_sheets(
    out: Path, classes: list[int], methods: Sequence[str], pictures: Path, rounds: int = 2, seed: int = 0
) -> None:
    """`reader-N/` with sheets, names and an empty form each, and `key.json`, which no reader is shown."""
    shown = list(assign(classes, methods, rounds, seed))
    names = names_on_the_list(classes, imagenet_labels())
    for reader in sorted({one.reader for one in shown}):
        folder = out / f"reader-{reader}"
        folder.mkdir(parents=True, exist_ok=True)
        mine = [one for one in shown if one.reader == reader]
        (folder / "names.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
        (folder / "instructions.txt").write_text(INSTRUCTIONS, encoding="utf-8")
        with (folder / "form.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([QUESTIONS, *([one.number, "", "", ""] for one in mine)])
        for start in range(0, len(mine), PER_SHEET):
            sheet = draw_sheet(mine[start : start + PER_SHEET], pictures)
            sheet.save(folder / f"sheet-{start // PER_SHEET + 1}.png")
    key = [{"reader": one.reader, "number": one.number, "class": one.index, "method": one.method} for one in shown]
    (out / "key.json").write_text(json.dumps(key, indent=1) + "\n", encoding="utf-8")


def draw_sheet(shown: Sequence[Shown], pictures: Path) -> Image.Image:
    """The pictures with their numbers, all of the same size."""
    rows = -(-len(shown) // COLUMNS)
    canvas = Image.new("RGB", (COLUMNS * (SIDE + GAP), rows * (SIDE + HEAD + GAP)), "white")
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(22)
    for place, one in enumerate(shown):
        left, top = place % COLUMNS * (SIDE + GAP), place // COLUMNS * (SIDE + HEAD + GAP)
        made = load(folder_of(one.method, 0, pictures) / f"{one.index}.safetensors")
        if made is None:
            raise SystemExit(f"no picture of class {one.index} by {one.method!r}: run `make` first")
        picture = crop_middle(made.picture, MIDDLES.get(one.method, 1.0))
        whole = F.interpolate(picture[None], size=(SIDE, SIDE), mode="bicubic", antialias=True)[0].clamp(0, 1)
        pen.text((left + 4, top + 2), str(one.number), fill="black", font=font)
        canvas.paste(to_image(whole), (left, top + HEAD))
    return canvas
