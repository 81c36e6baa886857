"""How far can an image drive each class above all others? A target that was planted goes further than it should.

`r_c = max_x [g_c(x) − max_{k≠c} g_k(x)]` over images in [0,1], from random starts.

Source: Wang, Xiang, Miller & Kesidis, "MM-BD", IEEE S&P 2024.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from phosphene.scanner.context import Context
from phosphene.scanner.margins import MIN_MARGIN
from phosphene.scanner.model_size import ModelSize
from phosphene.scanner.settings import Settings
from phosphene.scanner.statistics.statistic import ANY, Column, Measured


@dataclass(frozen=True)
class Margin:
    """The largest margin that an image reaches."""

    key: str = "margins"
    settings: tuple[str, ...] = ("margin_starts", "margin_iterations")
    least: Mapping[str, int] = field(default_factory=lambda: {"margin_starts": 1, "margin_iterations": 2})
    columns: tuple[Column, ...] = (
        Column(
            "margin",
            "margin",
            "how far any image can drive the class above all others, as a logarithm",
            ANY,
            logarithm=True,
        ),
    )

    def cost(self, settings: Settings, size: ModelSize) -> int:
        return size.classes * settings.margin_starts * settings.margin_iterations

    def measure(self, context: Context) -> Measured:
        return Measured({"margin": context.margins.clamp(min=MIN_MARGIN).log()})
