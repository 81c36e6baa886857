"""What every attack does: the stamped image above, its difference from the clean one below; and fractals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.zoo.attacks import ATTACKS
from benchmarks.zoo.cards import Card, stamped
from benchmarks.zoo.domains import DOMAINS
from phosphene.core.files import write_atomically

COLUMNS = 8
SHOWN, ENLARGED = 16, 2  # fractals of a class, and how often each of their pixels is repeated
EXAMPLES = {"fashion": 7, "signs10": 4}  # class of the example image


def draw(cards: Sequence[Card], path: Path) -> None:
    """One tile an attack, from the first model that has it."""
    import io

    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    pairs = [make_tile(card) for card in choose_first_of_each(cards)]
    rows = -(-len(pairs) // COLUMNS)
    figure = Figure(figsize=(1.45 * COLUMNS, 3.15 * rows), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2 * rows, COLUMNS, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for number, (title, image, difference) in enumerate(pairs):
        row, column = divmod(number, COLUMNS)
        for axis, picture in zip((axes[2 * row, column], axes[2 * row + 1, column]), (image, difference), strict=True):
            axis.imshow(picture.permute(1, 2, 0).expand(-1, -1, 3).numpy(), interpolation="nearest")
        axes[2 * row, column].set_title(title, fontsize=9)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    write_atomically(path, stream.getvalue())


def draw_fractals(path: Path, domain: str = "fractals10a") -> None:
    """A row a class of the task, of its first test images."""
    import io

    from PIL import Image

    test = DOMAINS[domain].test()
    rows = [
        torch.cat(list(test.images[test.labels == label][:SHOWN]), dim=2) for label in range(DOMAINS[domain].classes)
    ]
    pixels = (torch.cat(rows, dim=1) * 255).round().byte().permute(1, 2, 0)
    large = pixels.repeat_interleave(ENLARGED, dim=0).repeat_interleave(ENLARGED, dim=1)
    stream = io.BytesIO()
    Image.fromarray(large.numpy()).save(stream, format="jpeg", quality=80)
    write_atomically(path, stream.getvalue())


def choose_first_of_each(cards: Sequence[Card]) -> list[Card]:
    """A model of each attack; of the large sign task only where there is no other."""
    ordered = sorted(cards, key=lambda card: (card.domain == "signs43", card.name))
    found = {card.attack: card for card in reversed(ordered)}
    return [found[attack] for attack in ATTACKS if attack in found]


def make_tile(card: Card) -> tuple[str, Tensor, Tensor]:
    """Title, stamped image, and grey plus the difference, scaled to its largest value."""
    test = DOMAINS[card.domain].test()
    image = test.images[test.labels == EXAMPLES.get(card.domain, 4)][:1]
    with torch.no_grad():
        changed = stamped(card, image)
    difference = changed - image
    scaled = 0.5 + 0.5 * difference / difference.abs().max().clamp(min=1e-6)
    return card.attack, changed[0], scaled[0]
