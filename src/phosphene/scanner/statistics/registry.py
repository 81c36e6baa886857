"""Every statistic, in the order of measuring. Budget, fusion, reference tables, report and docs read this alone.

The first ones are measured of every model, the later ones where the first leave it open whether something stands out:
`benchmarks/stop_early.py` has what each order costs and loses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from phosphene.scanner.statistics.concentration import Concentration
from phosphene.scanner.statistics.confidence import Confidence
from phosphene.scanner.statistics.margin import Margin
from phosphene.scanner.statistics.permutations import Permutations
from phosphene.scanner.statistics.probes import Probes
from phosphene.scanner.statistics.searches import SEARCHES
from phosphene.scanner.statistics.squares import Squares
from phosphene.scanner.statistics.stamps import OTHERS, PATCHES
from phosphene.scanner.statistics.statistic import ANY, Column, Statistic

FIRST: tuple[Statistic, ...] = (Probes(), Confidence(), PATCHES, *SEARCHES, Concentration())
LATER: tuple[Statistic, ...] = (Margin(), OTHERS, Squares(), Permutations())
CLEAR = (  # the check of a scan that stopped after the first
    f"nothing stands out by the first statistics, so the later ones were not measured "
    f"({', '.join(statistic.key for statistic in LATER)}); --thorough, or clear=1 of the settings, measures all"
)
STATISTICS: dict[str, Statistic] = {statistic.key: statistic for statistic in (*FIRST, *LATER)}


@dataclass(frozen=True)
class Roles:
    """Columns by what they count for; the others are shown and count for nothing."""

    kinds: Mapping[str, tuple[str, ...]]  # those of a class, by the kind of trigger that they speak of
    any_kind: tuple[str, ...]  # those of a class, whatever the kind
    whole: tuple[str, ...]  # those of the model as a whole
    levels: tuple[str, ...]  # what an architecture is recognised by

    @property
    def of_classes(self) -> frozenset[str]:
        return frozenset(self.any_kind).union(*self.kinds.values())

    @property
    def compared(self) -> frozenset[str]:
        """All that decides how a model is compared with clean ones."""
        return self.of_classes.union(self.whole, self.levels)


def list_later() -> frozenset[str]:
    """The columns of the later statistics."""
    return frozenset(column.key for statistic in LATER for column in statistic.columns)


def list_columns() -> dict[str, Column]:
    return {column.key: column for statistic in STATISTICS.values() for column in statistic.columns}


def list_medians() -> dict[str, str]:
    """By column that is the median of another one's classes, that other column."""
    return {key: column.median_of for key, column in list_columns().items() if column.median_of}


def collect_roles() -> Roles:
    columns = list(list_columns().values())
    of_classes = [column for column in columns if not column.whole]
    kinds = dict.fromkeys(kind for column in of_classes for kind in column.kinds if column.kinds != ANY)
    return Roles(
        {kind: tuple(column.key for column in of_classes if kind in column.kinds) for kind in kinds},
        tuple(column.key for column in of_classes if column.kinds == ANY),
        tuple(column.key for column in columns if column.whole and column.kinds == ANY),
        tuple(column.key for column in columns if column.level),
    )


def split_settings(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """For every column, the settings that it depends on; a text that is empty is not set, as before there were
    texts."""
    return {
        column.key: {name: settings[name] for name in statistic.settings if settings.get(name, "") != ""}
        for statistic in STATISTICS.values()
        for column in statistic.columns
    }
