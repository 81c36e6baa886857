"""How concentrated the smallest patch of each class is: that of a trigger lies in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from phosphene.scanner.context import Context
from phosphene.scanner.model_size import ModelSize
from phosphene.scanner.search import SETTINGS
from phosphene.scanner.settings import Settings
from phosphene.scanner.statistics.statistic import Column, Measured

LARGEST = 50  # the largest fiftieth of the pixels


@dataclass(frozen=True)
class Concentration:
    """Reads the masks of the short search for patches."""

    key: str = "concentration"
    settings: tuple[str, ...] = (*SETTINGS, "patch_iterations")
    least: Mapping[str, int] = field(default_factory=dict)
    columns: tuple[Column, ...] = (
        Column(
            "concentration",
            "concentration",
            "share of the patch’s mask that lies in its largest fiftieth of pixels",
            ("patch",),
            family="patch",
        ),
    )

    def cost(self, settings: Settings, size: ModelSize) -> int:
        return 0

    def measure(self, context: Context) -> Measured:
        candidates = context.candidates("patch")
        return (
            Measured() if candidates is None else Measured({"concentration": concentration(candidates.parameters[0])})
        )


def concentration(masks: Tensor) -> Tensor:
    """Share of each mask `(K, 1, H, W)` that lies in its largest fiftieth of pixels, `(K,)`."""
    ordered = masks.flatten(1).sort(dim=1, descending=True).values
    return ordered[:, : max(1, ordered.shape[1] // LARGEST)].sum(dim=1) / ordered.sum(dim=1).clamp(min=1e-9)
