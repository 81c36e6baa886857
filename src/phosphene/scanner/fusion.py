"""From many statistics to one score a class and one a model.

Each statistic of a class becomes its distance from the other classes of the same model; a distance becomes −log of the
share of clean models whose *largest* distance is as large. So every statistic has the same unit, whatever its tails: a
naturally extreme class counts for little, and a model with many classes is not more suspicious for it.

A trigger is of one kind, and statistics that look for another kind do not see it. So the score of a class is a soft
maximum over the kinds of what their statistics find, all kinds alike, plus what shows whatever the kind is. Nothing is
learned from backdoored models, hence nothing of the attacks that happened to be at hand. The score of a model is that
of its best class, plus what stands out in the model as a whole, compared with what is foretold of a model whose classes
are typically as its own are, and with models like it: some architectures have wilder classes than others.

The model and its references are one pool: each is scored against all others, so that without a backdoor no place in
the ranking is likelier than another, and the conformal p-value is valid. What the references do not speak for is left
out, of all of them alike (`comparison`), so that the p-value speaks of the class that the ranking puts first.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from phosphene.scanner.pool import LIKENESS_WIDTH, Array, Pool
from phosphene.scanner.pvalues import conformal, grubbs
from phosphene.scanner.reference import Reference, Row
from phosphene.scanner.statistics.registry import Roles, collect_roles

MAX_OUTLIER = 8.0  # distances shown and given to the internal test


@dataclass(frozen=True)
class Fused:
    """`outliers[column][class]` in spreads, `neg_log_p` the same in nats, and the two p-values.

    Scores are deviations from those of clean models like this one: `scores` of the classes, `score` of the model.
    """

    outliers: Mapping[str, tuple[float, ...]]
    neg_log_p: Mapping[str, tuple[float, ...]]
    scores: tuple[float, ...]
    whole: Mapping[str, float]
    score: float
    internal: float
    external: float
    references: tuple[float, ...] = ()  # scores of the references, in the order of their table


@dataclass(frozen=True)
class Judgement:
    """Scores of every model of a pool: those of its best class in deviations, and those of the last one's classes."""

    best: tuple[float, ...]
    classes: tuple[float, ...]


def fuse(
    row: Row,
    reference: Reference,
    *,
    left_out: Collection[str] = (),
    roles: Roles | None = None,
    like: float = LIKENESS_WIDTH,
) -> Fused:
    """Judge one model among its references, in which it must not be itself; `left_out` columns are not compared."""
    pool = Pool((*reference.rows, row), collect_roles() if roles is None else roles, like)
    ranked = pool.without(_unknown_columns(row, reference))
    judged = _judge(ranked.without(left_out))
    names, last = [name for name in row.classes if name in row.centred], len(reference.rows)
    outliers = {name: np.clip(pool.distances(row, name), -MAX_OUTLIER, MAX_OUTLIER) for name in names}
    counted = sorted(ranked.roles.of_classes & row.centred.keys() & ranked.spread.keys())
    together = np.sum([outliers[name] for name in counted], axis=0)
    return Fused(
        {name: tuple(values.tolist()) for name, values in outliers.items()},
        {name: tuple(values.tolist()) for name, values in pool.neg_log_p(last, names).items()},
        judged.classes,
        pool.neg_log_p_whole(last, list(row.whole)),
        judged.best[last],
        grubbs(np.atleast_1d(together).tolist()),
        conformal(judged.best[last], judged.best[:last]),
        judged.best[:last],
    )


def _unknown_columns(row: Row, reference: Reference) -> set[str]:
    """Columns that no reference has; none where there are no references, so that classes can still be ranked."""
    known = {name for other in reference.rows for name in other.columns}
    return row.columns - known if known else set()


def _judge(pool: Pool) -> Judgement:
    scores: Sequence[Array] = [pool.scores(place) for place in range(len(pool.rows))]
    best = np.array([float(one.max()) for one in scores])
    scale = pool.calibrate(best)
    return Judgement(tuple(scale.apply(best).tolist()), tuple(scale.apply(scores[-1], -1).tolist()))


def drop_kinds(kinds: Collection[str]) -> Roles:
    """The roles of the columns, but for some kinds of trigger."""
    roles = collect_roles()
    return replace(roles, kinds={kind: names for kind, names in roles.kinds.items() if kind not in kinds})
