"""What of a scan is compared with which references. What they do not speak for is left out, and that alone.

- References of another domain count for models that are like them, by classes, channels and the sizes of changes that
  reach their median class: among all, they would raise the bar for models that they do not speak for.

- A column that was measured with other settings, or that the references or the model lack, is left out.
- Where the median class of a model is reached by changes of a size far outside the references' range, all columns of
  that family of changes are left out: in these units the model is unlike the references.
- A model of another kind (classes, size, channels) is not compared, nor one of which fewer than half of the families
  remain: then nothing tells whether it is like the references.

A clean model that is one of the references' kind has its families within their range but for a few in a hundred, so
that what is left out hardly depends on chance; `benchmarks/left_out.py` measures what the p-values are worth then.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from phosphene.scanner.pool import Pool
from phosphene.scanner.reference import MIN_MODELS, Reference, Row
from phosphene.scanner.settings import Settings
from phosphene.scanner.statistics.registry import collect_roles, list_columns

MARGIN = 0.5  # of the references' range: how far outside it a level may lie before a model is unlike them
MIN_RANGE = 0.2  # log size: a range is never taken for narrower
MIN_SHARE = 0.5  # of the families that the references have
LIKE_FURTHER = 1.5  # times the likeness to references of any domain, from which on further ones count
TOO_LITTLE = "fewer than half of the families of changes can be compared"
FACTS = (("classes", "outputs"), ("side in pixels", "size"), ("channels", "channels"))


@dataclass(frozen=True)
class Comparison:
    """`outside` says why nothing is compared, empty where something is; `left_out` are columns, `reasons` say why."""

    outside: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    families: tuple[str, ...] = ()  # of searches that were made, but are not compared


def choose_references(row: Row, table: Reference, settings: Settings) -> Reference:
    """The references of a model that is not among them, further ones too where it is more like them than like all.

    What was measured with other settings tells nothing of likeness; where no level is left, no further ones count.
    """
    if not table.further:
        return table
    together, left_out = table.join(), frozenset(table.list_incomparable(row, settings))
    if not row.whole.keys() & set(collect_roles().levels) - left_out:
        return replace(table, further=())
    alike = Pool((*together.rows, row), collect_roles(), left_out=left_out).alike[-1]
    likeness, share = float(alike[len(table.rows) : -1].sum()), len(table.further) / len(together.rows)
    return together if likeness >= LIKE_FURTHER * share else replace(table, further=())


def compare(row: Row, table: Reference, settings: Settings, spared: Collection[str] = ()) -> Comparison:
    """What of `row`, measured with `settings`, the references speak for; why columns that were `spared` are missing is
    not explained."""
    if len(table.rows) < MIN_MODELS:
        return Comparison((f"the table holds {len(table.rows)} models, fewer than {MIN_MODELS}",))
    facts = list_strange_facts(row, table)
    if facts:
        return Comparison(facts)
    incomparable = table.list_incomparable(row, settings)
    strange = find_strange_families(row, table, set(incomparable))
    lacking = [name for name in list_columns() if name in _list_known(table) - row.columns]
    present = [name for name in _list_present(row) if name in incomparable or family_of(name) in strange]
    left_out = (*present, *lacking)
    missed = [name for name in lacking if name not in spared]
    reasons = (*_explain_families(row, strange), *_explain_columns(table, incomparable, missed, strange))
    if _too_little(row, table, left_out):
        return Comparison((TOO_LITTLE, *reasons))
    return Comparison((), left_out, reasons, tuple(dict.fromkeys(_families_of_levels(left_out))))


def list_strange_facts(row: Row, table: Reference) -> tuple[str, ...]:
    """What of the model itself is unlike the references, whatever was measured."""
    if not table.rows:
        return ("the table holds no other model",)
    strange = []
    for words, name in FACTS:
        own, known = getattr(row, name), sorted({getattr(other, name) for other in table.rows})
        near = own in known if name == "channels" else known[0] * 0.8 <= own <= known[-1] * 1.25
        if not near:
            strange.append(f"{words}: {own}, references {', '.join(map(str, known))}")
    return tuple(strange)


def find_strange_families(row: Row, table: Reference, incomparable: set[str]) -> dict[str, str]:
    """Families whose median class lies far outside the references' range, and the sentence that says so."""
    strange = {}
    for name in collect_roles().levels:
        if name not in row.whole or name in incomparable or name not in table.ranges:
            continue
        value, (least, most) = row.whole[name], table.ranges[name]
        room = MARGIN * max(most - least, MIN_RANGE)
        if not least - room <= value <= most + room:
            family = family_of(name)
            strange[family] = f"{family} of the median class: {value:.2f}, references {least:.2f} to {most:.2f}"
    return strange


def family_of(name: str) -> str:
    """The family of searches that a column belongs to; empty where to none."""
    columns = list_columns()
    return columns[name].family if name in columns else ""


def explain(comparison: Comparison) -> list[str]:
    """A check that names what is left out of the comparison and would have counted."""
    return [f"not compared with the references: {'; '.join(comparison.reasons)}"] if comparison.reasons else []


def _list_present(row: Row) -> list[str]:
    return [name for name in list_columns() if name in row.columns]


def _list_known(table: Reference) -> set[str]:
    return {name for row in table.rows for name in row.columns}


def _explain_families(row: Row, strange: dict[str, str]) -> list[str]:
    counted = [name for name in _list_present(row) if name in collect_roles().compared and not name.startswith("level")]
    return [
        f"{', '.join(name for name in counted if family_of(name) == family)} ({reason})"
        for family, reason in strange.items()
    ]


def _explain_columns(
    table: Reference, incomparable: Sequence[str], lacking: Sequence[str], strange: Iterable[str]
) -> list[str]:
    counted = collect_roles().compared
    names = [name for name in incomparable if name in counted and family_of(name) not in strange]
    other, missing = ([name for name in names if (name in table.columns) is known] for known in (True, False))
    own = [name for name in lacking if name in counted]
    reasons = (
        (other, "measured with other settings on them"),
        (missing, "not measured on them"),
        (own, "not measured on this model"),
    )
    return [f"{', '.join(several)} ({reason})" for several, reason in reasons if several]


def _too_little(row: Row, table: Reference, left_out: Sequence[str]) -> bool:
    """Do fewer than half of the families remain that the references have?"""
    known = [name for name in collect_roles().levels if name in table.ranges]
    remaining = [name for name in known if name in row.whole and name not in left_out]
    return not remaining or len(remaining) < MIN_SHARE * len(known)


def _families_of_levels(left_out: Iterable[str]) -> list[str]:
    return [family_of(name) for name in left_out if name in collect_roles().levels]
