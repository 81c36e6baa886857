"""Networks that others trained: a folder of weights files with `cards.json`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phosphene.errors import BadInput
from phosphene.model.classifier import Classifier
from phosphene.model.sources.load import load

MAX_SIDE = 64  # pixels; larger networks are left to `phosphene map`
NEEDED = ("file", "factory", "size", "channels", "mean", "std")


@dataclass(frozen=True)
class PublicNetwork:
    """A network by its card; `target` is that of its backdoor, None of a clean network."""

    name: str
    folder: Path
    card: Mapping[str, Any]

    @property
    def target(self) -> int | None:
        return None if self.card.get("clean") else self.card.get("target")

    @property
    def labels(self) -> list[str] | None:
        """The names after the colon of `data`; None where it has none."""
        _, colon, names = str(self.card.get("data", "")).partition(":")
        return [name.strip() for name in names.split(",")] if colon and "," in names else None

    def load(self) -> Classifier:
        """Raises what `load` raises; the factory is code of the folder, which the user has asked to trust."""
        sys.path.insert(0, str(self.folder))
        try:
            options = {name: self.card[name] for name in NEEDED if name != "file"}
            return load(weights=self.folder / self.card["file"], labels=self.labels, **options)
        finally:
            sys.path.remove(str(self.folder))


def open_networks(folder: Path) -> list[PublicNetwork]:
    """Those of small images. Raises `BadInput` where the folder has no cards, or a card lacks what loading needs."""
    try:
        cards = json.loads((folder / "cards.json").read_text(encoding="utf-8"))
        records = [dict(card) for card in cards]
    except (OSError, ValueError, TypeError) as error:
        raise BadInput(f"no cards in {str(folder)!r}: {error}; expected cards.json, a list of records") from error
    for record in records:
        missing = [name for name in NEEDED if name not in record]
        if missing:
            raise BadInput(f"a card of {str(folder)!r} lacks {', '.join(missing)}; expected {', '.join(NEEDED)}")
    return [PublicNetwork(Path(card["file"]).stem, folder, card) for card in records if card["size"] <= MAX_SIDE]
