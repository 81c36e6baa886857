"""Finished maps as a sequence that holds none of them in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import overload

from phosphene.runs.reference import MapReference
from phosphene.runs.saliency import SaliencyMap


class SavedMaps(Sequence[SaliencyMap]):
    """Reads a map from its file each time it is asked for; `references` has paths and scores of all."""

    def __init__(
        self, references: Sequence[MapReference], temporary: tempfile.TemporaryDirectory[str] | None = None
    ) -> None:
        self.references = tuple(references)
        self._temporary = temporary  # deleted with this sequence

    def __len__(self) -> int:
        return len(self.references)

    @overload
    def __getitem__(self, place: int) -> SaliencyMap: ...
    @overload
    def __getitem__(self, place: slice) -> list[SaliencyMap]: ...
    def __getitem__(self, place: int | slice) -> SaliencyMap | list[SaliencyMap]:
        if isinstance(place, slice):
            return [reference.load() for reference in self.references[place]]
        return self.references[place].load()
