"""Two atlases of networks of two families: where do they hold different pictures of one class?

    python -m benchmarks.two_atlases DIR1 DIR2 --model efficientnet_lite0 --model PATH/mobilenet_v1.safetensors

Each network looks at the bare picture that the other's map is, for every class that both atlases have. The models are
those of the two folders, in their order. The sheet shows the classes that neither network names in the other's picture,
those first in which they are least alike: the first row of a pair is the first network's.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

import torch
from PIL import Image, ImageDraw

from benchmarks.judges import open_network, title_of
from benchmarks.record import markdown, write_result
from phosphene.atlas.record import FILE_NAME, Atlas, AtlasClass, Judgement, load_atlas
from phosphene.core.images import to_image
from phosphene.model.classifier import Classifier
from phosphene.runs.saliency import SaliencyMap

SHEET = Path(__file__).parents[1] / "docs" / "pictures" / "two-atlases.jpg"
SHOWN, COLUMNS, SIDE, LINE, GAP = 16, 8, 168, 16, 6


def log_probability(judgement: Judgement) -> float:
    """Of the class; here every network knows it."""
    assert judgement.log_probability is not None
    return judgement.log_probability


@dataclass(frozen=True)
class Pair:
    """A class of both atlases: the rows of either, and what the network of the other says of its picture."""

    rows: tuple[AtlasClass, AtlasClass]
    opinions: tuple[Judgement, Judgement]

    @property
    def likeness(self) -> float:
        """The higher log-probability of the two: low where neither finds the class in the other's picture."""
        return max(map(log_probability, self.opinions))

    @property
    def named(self) -> int:
        return sum(bool(one.agrees) for one in self.opinions)


def compare(folders: Sequence[Path], classifiers: Sequence[Classifier]) -> list[Pair]:
    first, second = (_open_atlas(folder) for folder in folders)
    others = {row.index: row for row in second.classes}
    shared = [(row, others[row.index]) for row in first.classes if row.index in others]
    return [
        Pair(rows, (ask(classifiers[1], folders[0], rows[0]), ask(classifiers[0], folders[1], rows[1])))
        for rows in shared
    ]


def _open_atlas(folder: Path) -> Atlas:
    atlas = load_atlas(folder / FILE_NAME)
    assert atlas is not None, f"no {FILE_NAME} in {folder}; run `phosphene atlas` first"
    return atlas


def ask(classifier: Classifier, folder: Path, row: AtlasClass) -> Judgement:
    """The network's opinion of a bare picture, which is resized to its input."""
    picture = SaliencyMap.load(folder / row.file).raw_picture[None]
    image = torch.nn.functional.interpolate(picture, classifier.format.size, mode="bicubic", antialias=True).clamp(0, 1)
    with torch.no_grad():
        scores = classifier(image)[0].log_softmax(dim=0)
    best = int(scores.argmax())
    name = classifier.labels[best].split(",")[0]
    return Judgement(classifier.name, best == row.index, round(float(scores[row.index]), 4), name)


def describe(pairs: Sequence[Pair], titles: Sequence[str]) -> list[dict[str, Any]]:
    """The whole, then each family of classes, the least alike first."""
    families: dict[str, list[Pair]] = {}
    for pair in pairs:
        families.setdefault(pair.rows[0].family, []).append(pair)
    ordered = sorted(families.items(), key=lambda item: fmean(pair.named for pair in item[1]))
    return [_summarize(name, some, titles) for name, some in [("all", pairs), *ordered]]


def _summarize(name: str, pairs: Sequence[Pair], titles: Sequence[str]) -> dict[str, Any]:
    first, second = ([pair.opinions[place] for pair in pairs] for place in (0, 1))
    medians = (f"{median(map(log_probability, some)):.2f}" for some in (first, second))
    return {
        "classes": name,
        "number": len(pairs),
        f"{titles[1]} names {titles[0]}'s": sum(bool(one.agrees) for one in first),
        f"{titles[0]} names {titles[1]}'s": sum(bool(one.agrees) for one in second),
        "neither": sum(pair.named == 0 for pair in pairs),
        "log-probability, medians": " / ".join(medians),
    }


def list_least_alike(pairs: Sequence[Pair]) -> list[Pair]:
    return sorted(pairs, key=lambda pair: pair.likeness)[:SHOWN]


def describe_pair(pair: Pair, titles: Sequence[str]) -> dict[str, Any]:
    return {
        "class": pair.rows[0].concept,
        f"{titles[1]} calls {titles[0]}'s": f"{pair.opinions[0].best} ({log_probability(pair.opinions[0]):.1f})",
        f"{titles[0]} calls {titles[1]}'s": f"{pair.opinions[1].best} ({log_probability(pair.opinions[1]):.1f})",
        "fidelity": " / ".join(f"{row.fidelity:.2f}" for row in pair.rows),
    }


def draw(pairs: Sequence[Pair], folders: Sequence[Path]) -> Image.Image:
    """Two rows for every eight classes: above the first network's picture, below the second's."""
    high = LINE + 2 * (SIDE + GAP)
    bands = -(-len(pairs) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (SIDE + GAP) - GAP, bands * (high + GAP) - GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for number, pair in enumerate(pairs):
        x, y = number % COLUMNS * (SIDE + GAP), number // COLUMNS * (high + GAP)
        pen.text((x + 2, y + 2), pair.rows[0].concept[:26], fill="black")
        for place, (folder, row) in enumerate(zip(folders, pair.rows, strict=True)):
            picture = to_image(SaliencyMap.load(folder / row.file).raw_picture).convert("RGB").resize((SIDE, SIDE))
            sheet.paste(picture, (x, y + LINE + place * (SIDE + GAP)))
    return sheet


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs=2)
    parser.add_argument(
        "--model", action="append", required=True, help="Of each folder: a name, or a file beside cards."
    )
    options = parser.parse_args(arguments)
    classifiers = [open_network(one).fold() for one in options.model]
    titles = [title_of(one) for one in classifiers]
    pairs = compare(options.folders, classifiers)
    least = list_least_alike(pairs)
    draw(least, options.folders).save(SHEET, quality=82, optimize=True)
    rows = describe(pairs, titles)
    command = "python -m benchmarks.two_atlases DIR1 DIR2 --model efficientnet_lite0 --model PATH"
    write_result("two-atlases", command, {"models": titles}, rows)
    write_result("two-atlases-least", command, {"models": titles}, [describe_pair(one, titles) for one in least])
    print(markdown(rows))


if __name__ == "__main__":
    main()
