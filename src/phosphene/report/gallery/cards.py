"""A card of the wall: the pictures of a concept, one of each folder, with the numbers that it is searched and sorted
by."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from phosphene.core.images import to_image
from phosphene.evidence.measures.complexity import effective_area
from phosphene.report.pictures import is_pixel_grid, rescale
from phosphene.runs.saliency import SaliencyMap

SIDE, QUALITY = 176, 72  # of a thumbnail: pixels of its larger side, WebP quality


@dataclass(frozen=True)
class Side:
    """The map of one folder on a card. `agreement` is the share of other models that predict the concept; None without
    any. `area` is the effective area of the importance, `doubt` what the first model that does not agree predicts."""

    thumbnail: str
    width: int
    height: int
    grid: bool
    fidelity: float
    seen: bool
    best: str
    agreement: float | None
    area: float
    doubt: str = ""


@dataclass(frozen=True)
class Card:
    """A concept on the wall; a side is None where its folder has no map of it."""

    stem: str
    concept: str
    chapter: str
    sides: tuple[Side | None, ...]

    @property
    def some(self) -> list[Side]:
        return [side for side in self.sides if side is not None]

    @property
    def fidelity(self) -> float:
        """The lowest of its sides."""
        return min(side.fidelity for side in self.some)

    @property
    def area(self) -> float:
        return sum(side.area for side in self.some) / len(self.some)

    @property
    def agreement(self) -> float | None:
        known = [side.agreement for side in self.some if side.agreement is not None]
        return sum(known) / len(known) if known else None

    @property
    def difference(self) -> float:
        """How far the fidelities of its sides are apart; 1 where one is missing."""
        if len(self.some) < len(self.sides):
            return 1.0
        return max(side.fidelity for side in self.some) - self.fidelity


def make_thumbnail(saliency: SaliencyMap) -> tuple[bytes, tuple[int, int], bool]:
    """The picture of the whole map, which its fidelity is of, as a small WebP; its size, and whether its pixels are to
    stay visible."""
    picture = to_image(saliency.raw_picture)
    grid = is_pixel_grid(picture)
    shown = rescale(picture, SIDE) if max(picture.size) > SIDE else picture
    stream = io.BytesIO()
    shown.save(stream, "WEBP", quality=QUALITY, lossless=grid, method=4)
    return stream.getvalue(), shown.size, grid


def make_side(saliency: SaliencyMap, thumbnail: str, size: tuple[int, int], grid: bool) -> Side:
    scores, importance = saliency.scores, saliency.importance.flatten().double()
    asked = [opinion for opinion in scores.opinions if opinion.top1 is not None]
    bare = scores.bare_pictures
    return Side(
        thumbnail=thumbnail,
        width=size[0],
        height=size[1],
        grid=grid,
        fidelity=round(scores.fidelity.probability, 4),
        seen=bare.seen if bare is not None else bool(scores.top5 and scores.top5[0].index in saliency.targets),
        best=scores.top5[0].name if scores.top5 else "",
        agreement=sum(bool(one.top1) for one in asked) / len(asked) if asked else None,
        area=round(effective_area(importance), 4) if importance.any() else 0.0,
        doubt=next((one.top5[0].name for one in asked if not one.top1 and one.top5), ""),
    )


def count_kinds(cards: Sequence[Card]) -> dict[str, int]:
    """How many cards there are of each kind that the wall can be narrowed to."""
    return {
        "unseen": sum(not all(side.seen for side in card.some) for card in cards),
        "doubted": sum(card.agreement is not None and card.agreement < 1 for card in cards),
        "low": sum(card.fidelity < 0.5 for card in cards),
    }
