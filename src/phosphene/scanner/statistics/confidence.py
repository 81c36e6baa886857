"""How sure the model is of the surrogate image that it was asked to represent a class by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch

from phosphene.scanner.context import Context
from phosphene.scanner.model_size import ModelSize, forward_cost
from phosphene.scanner.settings import Settings
from phosphene.scanner.statistics.statistic import Column, Measured
from phosphene.scanner.surrogates import SETTINGS

NAMED = 5  # classes named in a check
DEAD = "no image is predicted as a class, which is left out of the comparison:"


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
        dead, labels = context.dead_classes, context.classifier.labels
        doubtful = [surrogates.names[place] for place in surrogates.find_doubtful()]
        checks = (*_name("no convincing surrogate image of", doubtful), *_name(DEAD, [labels[index] for index in dead]))
        return Measured(
            {"confidence": values}, checks=checks, reached=len(surrogates.classes), dead=context.dead_classes
        )


def _name(finding: str, names: Sequence[str]) -> tuple[str, ...]:
    """A check that names the first of some classes; none where there are none."""
    return (f"{finding} {', '.join(names[:NAMED])}",) if names else ()
