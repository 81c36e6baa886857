"""Intervals and areas: against scipy where it has the same, and known answers where it has not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, mannwhitneyu
from scipy.stats import t as student_t

from phosphene.core.intervals import (
    auc,
    bootstrap_effect_size,
    bootstrap_mean,
    effect_size,
    newcombe,
    student,
    wilson,
)


@given(st.integers(1, 400).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count))))
def test_a_share_of_whole_hits_has_scipys_wilson_interval(counts):
    hits, count = counts
    expected = binomtest(hits, count).proportion_ci(0.95, method="wilson")
    assert wilson(hits / count, count) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_a_share_between_two_counts_has_an_interval_between_theirs():
    lower, between, upper = (wilson(hits / 8, 8) for hits in (5, 5.5, 6))
    assert lower[0] < between[0] < upper[0]
    assert lower[1] < between[1] < upper[1]


def test_a_mean_has_students_interval():
    numbers = [-0.3, -1.2, -0.7, -0.1]
    error = np.std(numbers, ddof=1) / 2
    assert student(numbers) == pytest.approx(student_t.interval(0.95, 3, loc=np.mean(numbers), scale=error))
    assert student([0.5, 0.5, 0.5]) == (0.5, 0.5)
    assert student([0.5]) is None


def test_the_area_is_the_share_of_pairs_in_order_ties_halved():
    random = np.random.default_rng(0)
    positives, negatives = random.integers(0, 9, 20), random.integers(0, 6, 30)
    pairs = [(one > other) + 0.5 * (one == other) for one in positives for other in negatives]
    assert auc(positives, negatives) == pytest.approx(np.mean(pairs))
    assert auc(positives, negatives) == pytest.approx(mannwhitneyu(positives, negatives).statistic / 600)
    assert auc([2.0, 3.0], [0.0, 1.0]) == 1.0
    assert auc([1.0], [1.0]) == 0.5


def test_newcombes_interval_holds_the_area_and_never_shrinks_to_a_point():
    for area in (0.0, 0.2, 0.5, 0.9, 1.0):
        low, high = newcombe(area, 12, 15)
        assert 0 <= low <= area <= high <= 1
        assert high - low > 0.05
    assert newcombe(0.8, 12, 15) == pytest.approx([1 - end for end in reversed(newcombe(0.2, 15, 12))], abs=1e-6)


def test_the_bootstrap_covers_the_mean_as_often_as_it_says():
    random = np.random.default_rng(1)
    hits = [low <= 0 <= high for low, high in (bootstrap_mean(random.normal(size=12)) for _ in range(300))]
    assert np.mean(hits) == pytest.approx(0.95, abs=0.04)


def test_values_of_one_cluster_count_as_one():
    """Ten copies of each value, in clusters, tell no more than the values alone."""
    values = np.arange(8.0)
    copies, clusters = values.repeat(10), np.arange(8).repeat(10)
    assert bootstrap_mean(copies, clusters) == pytest.approx(bootstrap_mean(values))
    narrow = bootstrap_mean(copies)
    assert narrow[1] - narrow[0] < 0.5 * (bootstrap_mean(values)[1] - bootstrap_mean(values)[0])


def test_the_effect_size_is_the_mean_over_the_deviation():
    differences = np.random.default_rng(2).normal(0.5, 1.0, 40)
    assert effect_size(differences) == pytest.approx(differences.mean() / differences.std(ddof=1))
    low, high = bootstrap_effect_size(differences)
    assert low < effect_size(differences) < high
    assert math.isnan(effect_size([1.0]))
