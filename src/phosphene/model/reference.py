"""How a model is opened again in another process: a few words instead of its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ModelReference:
    """The arguments of `load` that opened a classifier, or the file that a run has pickled it to.

    `fingerprint` is that of the weights: whoever opens the reference checks that it still leads to the same ones.
    """

    fingerprint: str
    options: tuple[tuple[str, Any], ...] = field(default=())  # hashable, so that a reference can be a key
    pickled: str | None = None

    @property
    def arguments(self) -> Mapping[str, Any]:
        return dict(self.options)
