"""What a model's differences from its base are worth, and one p-value for them and for the model itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from phosphene.core.records import to_plain
from phosphene.scanner.against.base import Base
from phosphene.scanner.against.differences import pair_references, subtract, undo_logarithms
from phosphene.scanner.against.record import Against, MethodName
from phosphene.scanner.comparison import Comparison, compare
from phosphene.scanner.fusion import Fused, fuse
from phosphene.scanner.own_classes import ASSUMES, Controls, compare_own_classes
from phosphene.scanner.pvalues import accuses, conformal
from phosphene.scanner.reference import MIN_MODELS, Reference, Row
from phosphene.scanner.settings import Settings
from phosphene.scanner.statistics.registry import collect_roles, list_columns, split_settings
from phosphene.scanner.verdict import SUSPICIOUS_LEVEL

IDENTICAL = "the weights of the base are identical"
FEWEST = 20  # classes below which there is no tail to compare with


@dataclass(frozen=True)
class Model:
    """A scanned model: its statistics, the settings that they were measured with, and what is said of it alone, with
    `own` by its own classes."""

    row: Row
    settings: Settings
    judged: Fused
    comparison: Comparison
    own: bool = False


def judge_against(model: Model, base: Base, table: Reference) -> tuple[Fused, Against]:
    """The judgement with the base, and the record of the differences. The table holds neither of the two.

    A class's score is the larger of its own and its difference's, so that neither hides what the other shows; the
    external p-value ranks the largest of these among those of the clean references and their pairs.
    """
    if base.row.fingerprint == model.row.fingerprint:
        return model.judged, _describe_nothing(model, base, IDENTICAL)
    own = compare(base.row, table, base.settings)
    outside = tuple(dict.fromkeys((*model.comparison.outside, *(f"base: {one}" for one in own.outside))))
    pairs = {} if outside else pair_references(table)
    if len(pairs) >= MIN_MODELS:
        left_out = {*model.comparison.left_out, *own.left_out}
        reasons = tuple(dict.fromkeys((*model.comparison.reasons, *own.reasons)))
        return _judge_by_pairs(model, base, replace(table, rows=tuple(pairs.values())), tuple(pairs), left_out, reasons)
    few = () if outside else (f"the table has {len(pairs)} pairs of models alike, fewer than {MIN_MODELS}",)
    return _judge_without_pairs(model, base, (*outside, *few))


def list_checks(against: Against | None) -> list[str]:
    """What a user must know of the base."""
    if against is None:
        return []
    checks = []
    if against.identical:
        checks.append(f"{IDENTICAL} to those of the model: nothing differs, and it is judged alone")
    elif against.method == "none":
        checks.append(f"the differences from the base have no p-value ({'; '.join(against.reasons)}): they are shown")
    elif against.method == "tail":
        checks.append(
            "no references speak for the differences from the base: the classes' differences are each other's "
            f"controls, which assumes that {ASSUMES}"
        )
    if against.left_out:
        checks.append(f"not compared with the base: {'; '.join(against.left_out)}")
    return checks


def _judge_by_pairs(
    model: Model,
    base: Base,
    pairs: Reference,
    places: tuple[int, ...],
    left_out: Collection[str],
    reasons: tuple[str, ...],
) -> tuple[Fused, Against]:
    judged = model.judged
    found = fuse(subtract(model.row, base.row), pairs, left_out=left_out)
    alone = [judged.references[place] for place in places]
    both = tuple(max(pair) for pair in zip(alone, found.references, strict=True))
    score = max(judged.score, found.score)
    joined = replace(
        judged,
        score=score,
        references=both,
        external=conformal(score, both),
        scores=_larger(judged, found),
        neg_log_p=_join_neg_log_p(judged.neg_log_p, found.neg_log_p),
    )
    return joined, _describe(model, base, found, "references", found.external, len(places), left_out=reasons)


def _judge_without_pairs(model: Model, base: Base, reasons: tuple[str, ...]) -> tuple[Fused, Against]:
    """The classes' differences as each other's controls, where references speak neither for the pair nor for the model;
    a model that they speak for is judged alone, so that its external p-value stays what it is."""
    left_out = _list_measured_otherwise(model, base)
    named = (f"{', '.join(left_out)} (measured with other settings on the base)",) if left_out else ()
    difference = subtract(undo_logarithms(model.row), undo_logarithms(base.row), left_out)
    found = fuse(difference, Reference("", "", {}, ()))
    controls = compare_own_classes(difference, fewest=FEWEST)
    if controls is None:
        few = f"fewer than {FEWEST} classes have differences, too few to compare with each other"
        return model.judged, _describe(model, base, found, "none", None, 0, (*reasons, few), named)
    if not model.comparison.outside:
        return model.judged, _describe(model, base, found, "none", None, 0, reasons, named)
    return _judge_by_classes(model, base, found, controls, reasons, named)


def _judge_by_classes(
    model: Model, base: Base, found: Fused, controls: Controls, reasons: tuple[str, ...], left_out: tuple[str, ...]
) -> tuple[Fused, Against]:
    """Scores, ranking and what speaks for a family are those of the differences where these accuse."""
    joined = model.judged
    if accuses(controls.p_value, SUSPICIOUS_LEVEL, own=model.own):
        surprise = {**joined.neg_log_p, **controls.surprise}
        joined = replace(joined, scores=controls.scores, score=max(controls.scores), neg_log_p=surprise)
    if missing := model.row.outputs - controls.classes:
        left_out = (*left_out, f"{missing} classes of which the model or the base has no values")
    against = _describe(model, base, found, "tail", controls.p_value, 0, reasons, left_out)
    return joined, replace(against, scores=controls.scores)


def _standardize(scores: tuple[float, ...]) -> tuple[float, ...]:
    """Distances from the median, in standard deviations of all but the largest."""
    values = np.array(scores)
    spread = float(np.std(np.sort(values)[:-1])) if len(values) > 2 else 0.0
    return tuple(((values - np.median(values)) / (spread if spread > 1e-9 else 1.0)).tolist())


def _list_measured_otherwise(model: Model, base: Base) -> list[str]:
    """Columns of both that were measured with different settings."""
    own, other = (split_settings(to_plain(one)) for one in (model.settings, base.settings))
    both = model.row.columns & base.row.columns
    return [name for name in list_columns() if name in both and own[name] != other[name]]


def _larger(first: Fused, second: Fused) -> tuple[float, ...]:
    return tuple(max(pair) for pair in zip(first.scores, second.scores, strict=True))


def _join_neg_log_p(
    alone: Mapping[str, tuple[float, ...]], differences: Mapping[str, tuple[float, ...]]
) -> dict[str, tuple[float, ...]]:
    """The larger of the two, class by class."""
    other = {name: differences.get(name, values) for name, values in alone.items()}
    return {name: tuple(map(max, values, other[name])) for name, values in alone.items()}


def _describe(
    model: Model,
    base: Base,
    found: Fused,
    method: MethodName,
    p_value: float | None,
    models: int,
    reasons: tuple[str, ...] = (),
    left_out: tuple[str, ...] = (),
) -> Against:
    counted = collect_roles().of_classes
    shown = {name: values for name, values in found.outliers.items() if name in counted}
    return replace(
        _describe_nothing(model, base, ""),
        identical=False,
        method=method,
        p_value=p_value,
        models=models,
        scores=found.scores if method == "references" else _standardize(found.scores),
        differences=shown,
        reasons=reasons,
        left_out=left_out,
    )


def _describe_nothing(model: Model, base: Base, reason: str) -> Against:
    alone = None if model.comparison.outside else model.judged.external
    return Against(
        base.row.name,
        base.row.fingerprint,
        base.source,
        True,
        "none",
        None,
        alone,
        0,
        scores=(0.0,) * model.row.outputs,
        differences={},
        reasons=(reason,),
    )
