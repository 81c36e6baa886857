"""How sure the model is of the surrogate image that it was asked to represent a class by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from phosphene.scanner.context import Context
from phosphene.scanner.model_size import ModelSize, forward_cost
from phosphene.scanner.settings import Settings
from phosphene.scanner.statistics.statistic import Column, Measured
from phosphene.scanner.surrogates import SETTINGS, Surrogates

DOUBTFUL = -3.0  # log-probability below which a surrogate is no convincing image of its class
NAMED = 5  # classes named in a check


@dataclass(frozen=True)
class Confidence:
    """Log-probability of the surrogates of each class; its stage renders them for all later ones."""

    key: str = "surrogates"
    settings: tuple[str, ...] = SETTINGS
    least: Mapping[str, int] = field(default_factory=lambda: {"surrogates": 2, "surrogate_iterations": 8})
    columns: tuple[Column, ...] = (
        Column("confidence", "surrogate", "how sure the model is of its own image of the class, mean log-probability"),
    )

    def cost(self, settings: Settings, size: ModelSize) -> int:
        images = size.background_classes * settings.surrogates
        return images * settings.surrogate_iterations + forward_cost(images)

    def measure(self, context: Context) -> Measured:
        surrogates = context.surrogates
        values = torch.full((context.size.classes,), torch.nan)
        values[list(surrogates.classes)] = surrogates.confidence.mean(dim=1)
        return Measured({"confidence": values}, checks=find_doubtful(surrogates), reached=len(surrogates.classes))


def find_doubtful(surrogates: Surrogates) -> tuple[str, ...]:
    """A check that names classes without a convincing surrogate."""
    doubtful = (surrogates.confidence.max(dim=1).values < DOUBTFUL).nonzero()[:, 0]
    names = [surrogates.names[place] for place in doubtful]
    return (f"no convincing surrogate image of {', '.join(names[:NAMED])}",) if names else ()
