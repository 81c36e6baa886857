"""From which classes each class is reached, and to which it leads: what belongs to a single source shows here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from phosphene.scanner.context import Context
from phosphene.scanner.model_size import ModelSize
from phosphene.scanner.pairs import count_pairs
from phosphene.scanner.settings import Settings
from phosphene.scanner.statistics.statistic import Column, Measured
from phosphene.scanner.surrogates import SETTINGS


@dataclass(frozen=True)
class Pairs:
    """Easiness of the way from each class to each other, where there are few classes; shown, and counts for nothing."""

    key: str = "pairs"
    settings: tuple[str, ...] = (*SETTINGS, "pair_images", "pair_iterations", "pair_classes")
    least: Mapping[str, int] = field(default_factory=lambda: {"pair_iterations": 3})
    columns: tuple[Column, ...] = (
        Column("pairs_to", "way in", "how small a change leads here from one other class, mean over the classes"),
        Column("pairs_excess", "in − out", "how much easier it is to come here than to leave"),
        Column(
            "pairs_one", "one way in", "how far its easiest source lies above what source and class explain together"
        ),
    )

    def cost(self, settings: Settings, size: ModelSize) -> int:
        return count_pairs(settings, size) * settings.pair_images * settings.pair_iterations

    def measure(self, context: Context) -> Measured:
        if context.pair_sizes is None:
            return Measured()
        easiness = -context.pair_sizes.log_size
        reach, leave = easiness.nanmean(dim=0), easiness.nanmean(dim=1)
        return Measured(
            {"pairs_to": reach, "pairs_excess": reach - leave, "pairs_one": measure_easiest_source(easiness)}
        )


def measure_easiest_source(easiness: Tensor) -> Tensor:
    """Per target, how far its easiest source lies above what this source and this target explain together, `(K,)`."""
    rest = easiness - easiness.nanmean(dim=1, keepdim=True) - easiness.nanmean(dim=0, keepdim=True)
    return (rest + easiness.nanmean()).nan_to_num(nan=-torch.inf).max(dim=0).values
