"""Weights that are learned: what is held out is not learned from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from benchmarks.learned import Model, assign_parts, learn
from sklearn.linear_model import LogisticRegression

COLUMNS, CLASSES = 4, 5
KINDS = ("patch", "blend", "warp")


def draw_models(seed: int = 0) -> list[Model]:
    """Twenty clean models and ten of each of three attacks, whose targets stand out in a column of their own."""
    generator, models = np.random.default_rng(seed), []
    for kind in ("none",) * 20 + KINDS * 10:
        facts = generator.exponential(size=(CLASSES, COLUMNS))
        if kind in KINDS:
            facts[2, KINDS.index(kind)] += 6
        line = {"kind": kind, "poisoned": kind in KINDS, "stratum": "main", "target": 2}
        models.append(Model(line, facts, facts))
    return models


def score(models: list[Model]) -> np.ndarray:
    return learn(models, LogisticRegression, lambda one: one.facts)


def of_kind(models: list[Model], kind: str) -> np.ndarray:
    return np.array([one.line["kind"] == kind for one in models])


def test_an_attack_is_scored_by_what_was_learned_from_the_others():
    """Another target for every model of an attack, and its own scores stay; those of other attacks change."""
    models = draw_models()
    turned = [replace(one, line={**one.line, "target": 0}) if one.line["kind"] == "patch" else one for one in models]
    before, after = score(models), score(turned)
    assert np.array_equal(before[of_kind(models, "patch")], after[of_kind(models, "patch")])
    assert not np.allclose(before[of_kind(models, "blend")], after[of_kind(models, "blend")])


def test_what_no_other_attack_shows_is_not_learned():
    """Each attack has a column of its own, which tells nothing of the other's targets: hence kinds that count alike."""
    models = draw_models()
    scores = score(models)
    clean = scores[of_kind(models, "none")]
    for kind in KINDS:
        assert np.mean(scores[of_kind(models, kind)][:, None] > clean) < 0.7


def test_a_model_whose_trigger_seldom_works_teaches_nothing():
    models = draw_models()
    weak = [
        replace(one, line={**one.line, "stratum": "weak"}) if one.line["kind"] == "patch" else one for one in models
    ]
    turned = [replace(one, line={**one.line, "target": 0}) if one.line["kind"] == "patch" else one for one in weak]
    assert np.array_equal(score(weak), score(turned))


def test_every_kind_is_a_part_and_clean_models_lie_in_all():
    models = draw_models()
    parts = assign_parts(models)
    assert {int(one) for one in parts[of_kind(models, "patch")]} == {1}
    assert {int(one) for one in parts[of_kind(models, "none")]} == {0, 1, 2}
