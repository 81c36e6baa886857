"""Would weights that are learned from backdoored models rank better than kinds that count alike?

    python -m benchmarks.learned

From the kept statistics of the development, test and final split alone; nothing is scanned. Every clean model is a
reference of all others. A classifier of classes learns which are targets of backdoors (of a success of 90% or more) and
which are classes of any model; the score of a model is that of its best class. Every kind of attack is held out in
turn, with a part of the clean models, and scored by what was learned from the others: who scans a stranger's network
does not know its attack. All scores are compared with what is foretold of a clean model like it, as shipped.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from benchmarks.record import RESULTS, markdown, write_result
from benchmarks.scoring.statistics import area_interval
from benchmarks.scoring.tables import SUBTLE
from benchmarks.zoo.calibrate import Line, read_lines
from phosphene.scanner.pool import Pool
from phosphene.scanner.reference import Row
from phosphene.scanner.statistics.registry import Roles, collect_roles

SPLITS = ("dev", "test", "final")
LEVEL = 0.05  # share of the clean models that may be accused
LARGEST = 8.0  # distances and gaps count up to here
Array = NDArray[np.float64]
Learner = Callable[[], Any]

LEARNERS: dict[str, Learner] = {
    "logistic, nats alone": lambda: LogisticRegression(C=0.01, max_iter=2000),
    "logistic": lambda: LogisticRegression(C=0.01, max_iter=2000),
    "logistic, a tenth of the freedom": lambda: LogisticRegression(C=0.001, max_iter=2000),
    "boosted trees": lambda: HistGradientBoostingClassifier(
        max_iter=80, max_leaf_nodes=6, learning_rate=0.08, min_samples_leaf=20, l2_regularization=5.0, random_state=0
    ),
    "random trees": lambda: ExtraTreesClassifier(300, min_samples_leaf=5, random_state=0),
}


@dataclass(frozen=True)
class Model:
    """A model with what is told of its classes: `nats` `(classes, columns)` and `facts` `(classes, all)`."""

    line: Line
    nats: Array
    facts: Array

    @property
    def poisoned(self) -> bool:
        return bool(self.line["poisoned"])

    @property
    def strong(self) -> bool:
        return self.poisoned and self.line["stratum"] != "weak"


def describe(line: Line, pool: Pool, place: int) -> Model:
    """Nats, distances, gaps to the second class, kinds joined, and what stands out in the model as a whole."""
    row, roles = pool.rows[place], pool.roles
    names = sorted(roles.of_classes & pool.spread.keys())
    known = pool.neg_log_p(place, names)
    zero = np.zeros(row.outputs)
    nats = np.maximum(np.column_stack([known.get(name, zero) for name in names]), 0)
    apart = [pool.distances(row, name) if name in row.centred else zero for name in names]
    distances = np.clip(np.column_stack(apart), -LARGEST, LARGEST)
    gaps = np.clip(distances - np.sort(distances, axis=0)[-2], -LARGEST, LARGEST)
    kinds = [nats[:, [names.index(name) for name in several]].mean(axis=1) for several in roles.kinds.values()]
    told = pool.neg_log_p_whole(place, roles.whole)
    whole = np.tile([max(0.0, told.get(name, 0.0)) for name in roles.whole], (row.outputs, 1))
    return Model(line, nats, np.column_stack([nats, distances, gaps, *kinds, whole]))


def prefer_noise(pool: Pool, place: int) -> float:
    """The best class where the one that noise is taken for has a nat more than the others."""
    noise = np.array(pool.rows[place].classes["easy_noise"])
    return float((pool.scores(place) + (noise == np.nanmax(noise))).max())


def assign_parts(models: Sequence[Model], seed: int = 0) -> Array:
    """The part that each model is held out with: its kind of attack; clean ones at random."""
    kinds = sorted({model.line["kind"] for model in models if model.poisoned})
    draw = np.random.default_rng(seed).permutation(len(models)) % len(kinds)
    return np.array([kinds.index(one.line["kind"]) if one.poisoned else draw[k] for k, one in enumerate(models)])


def learn(models: Sequence[Model], learner: Learner, tell: Callable[[Model], Array]) -> Array:
    """Each model's best class, by what was learned from the parts that it is not in."""
    parts, scores = assign_parts(models), np.zeros(len(models))
    for held in set(parts.tolist()):
        learned = [
            one
            for one, place in zip(models, parts, strict=True)
            if place != held and (not one.poisoned or (one.strong and one.line["target"] is not None))
        ]
        facts = np.concatenate([tell(one) for one in learned])
        is_target = np.concatenate(
            [np.arange(len(one.nats)) == (one.line["target"] if one.poisoned else -1) for one in learned]
        )
        weights = np.concatenate([np.full(len(one.nats), 3 / len(one.nats)) for one in learned])
        mean, deviation = facts.mean(axis=0), facts.std(axis=0) + 1e-6
        fitted = learner()
        fitted.fit((facts - mean) / deviation, is_target, sample_weight=np.where(is_target, 3.0, weights))
        for place in np.flatnonzero(parts == held):
            chances = fitted.predict_proba((tell(models[place]) - mean) / deviation)[:, 1]
            scores[place] = float(np.log((chances + 1e-3) / (1 - chances + 1e-3)).max())
    return scores


def compare_with_foretold(scores: Array, pools: Sequence[Pool], clean: int) -> Array:
    """What is left of each score beside what is foretold from the clean models; those come first."""
    scores = scores - min(0.0, float(scores.min()))  # logits may be negative
    left = pools[0].calibrate(scores[:clean]).apply(scores[:clean])
    rest = [
        pool.calibrate(np.append(scores[:clean], score)).apply(np.append(scores[:clean], score))[-1]
        for pool, score in zip(pools[1:], scores[clean:], strict=True)
    ]
    return np.append(left, rest)


def describe_scores(name: str, scores: Array, models: Sequence[Model]) -> dict[str, str]:
    clean = scores[[not one.poisoned for one in models]]
    bar = np.sort(clean)[::-1][int(LEVEL * len(clean))]

    def tell_area(keep: Callable[[str], bool]) -> str:
        chosen = [one.strong and keep(one.line["kind"]) for one in models]
        return str(area_interval(clean.tolist(), scores[chosen].tolist()))

    found = scores[[one.strong for one in models]] > bar
    return {
        "weights": name,
        "AUC": tell_area(lambda kind: True),
        "patch to filter": tell_area(lambda kind: kind not in SUBTLE),
        "warp to adaptive": tell_area(lambda kind: kind in SUBTLE),
        "found at 5% false alarms": f"{found.sum()} of {len(found)}",
    }


def main(arguments: Sequence[str] | None = None) -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args(
        arguments
    )
    lines = [line for split in SPLITS for line in read_lines(RESULTS / f"scanner-statistics-{split}.jsonl")]
    lines.sort(key=lambda line: bool(line["poisoned"]))
    rows, clean = [Row.from_json(line["row"]) for line in lines], sum(not line["poisoned"] for line in lines)
    roles: Roles = collect_roles()
    together = Pool(tuple(rows[:clean]), roles)
    pools = [together, *(Pool((*rows[:clean], row), roles) for row in rows[clean:])]
    models = [describe(lines[place], together, place) for place in range(clean)]
    models += [describe(line, pool, clean) for line, pool in zip(lines[clean:], pools[1:], strict=True)]
    alike = np.array(
        [
            *(together.scores(place).max() for place in range(clean)),
            *(pool.scores(clean).max() for pool in pools[1:]),
        ]
    )
    shipped = compare_with_foretold(alike, pools, clean)
    table = [describe_scores("**kinds that count alike, as shipped**", shipped, models)]
    preferred = np.array(
        [prefer_noise(together, place) for place in range(clean)] + [prefer_noise(pool, clean) for pool in pools[1:]]
    )
    table.append(
        describe_scores("and a nat for the class of noise", compare_with_foretold(preferred, pools, clean), models)
    )
    for name, learner in LEARNERS.items():
        tell = (lambda one: one.nats) if name.endswith("alone") else (lambda one: one.facts)
        scores = compare_with_foretold(learn(models, learner, tell), pools, clean)
        table.append(describe_scores(name, scores, models))
        both = scores / scores[:clean].std() + shipped / shipped[:clean].std()
        table.append(describe_scores(f"{name}, and kinds", both, models))
        print(table[-2:], flush=True)
    print(markdown(table))
    facts = {"models": len(lines), "clean": clean}
    write_result("learned", "python -m benchmarks.learned", facts, table)


if __name__ == "__main__":
    main()
