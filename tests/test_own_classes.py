"""The classes of a model as each other's controls: known distributions, laws, and a slow reference."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from benchmarks import own_classes, plant_imagenet
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from phosphene.scanner.own_classes import (
    MAX_BEYOND,
    MIN_CLASSES,
    compare_own_classes,
    count_tail,
    fit_shape,
    measure_gap,
    measure_surprise,
)
from phosphene.scanner.pvalues import grubbs
from phosphene.scanner.reference import Row
from phosphene.scanner.statistics.registry import collect_roles

COLUMNS = ("row_mean", "head", "margin", "patch", "additive", "colour", "warp", "concentration",
           "stamp patch", "stamp polygon", "stamp colour", "stamp blend", "stamp wave", "stamp warp")  # fmt: skip


def make_row(columns: dict[str, np.ndarray]) -> Row:
    classes = {name: tuple(values.tolist()) for name, values in columns.items()}
    return Row("made", "f" * 64, len(next(iter(classes.values()))), 64, 3, classes, {})


def draw_columns(seed: int, classes: int, tail: str = "normal", shared: float = 0.3) -> dict[str, np.ndarray]:
    """Columns that share a part of what makes a class easy; with `wild` tails some classes are wild in all of them."""
    generator = np.random.default_rng(seed)
    easy, wild = generator.standard_normal(classes), np.sqrt(3 / generator.chisquare(3, classes))
    columns = {}
    for name in COLUMNS:
        values = math.sqrt(shared) * easy + math.sqrt(1 - shared) * generator.standard_normal(classes)
        heavy = values / np.sqrt(generator.chisquare(3, classes) / 3)
        columns[name] = {"normal": values, "heavy": heavy, "wild": values * wild, "steps": np.round(values)}[tail]
    return columns


def surprise_slowly(values: list[float]) -> list[float]:
    """Class by class and gap by gap, from the definition."""
    count, surprise = len(values), []
    for value in values:
        rank = sum(other >= value for other in values)
        surprise.append(math.log(count / (rank - 0.44)))
    ordered = sorted(values, reverse=True)
    if ordered[0] > ordered[1]:
        tail = count_tail(count)
        above = [one - ordered[tail] for one in ordered[: tail + 1]]
        shape = min(0.9, shape_slowly(above[1:tail]) + 0.5 / math.sqrt(tail))
        scale = (1 - shape) * sum(above[1:tail]) / (tail - 1)
        above = [math.log(1 + shape * one / scale) for one in above]
        surprise[values.index(ordered[0])] = math.log(count / 1.56) + min(MAX_BEYOND, gap_slowly(above, tail))
    return surprise


def shape_slowly(excesses: list[float]) -> float:
    """Hosking & Wallis: the share of pairs below stands for 1 − F."""
    count, mean = len(excesses), sum(excesses) / len(excesses)
    weighted = sum(one * sum(other > one for other in excesses) / (count - 1) for one in excesses) / count
    return min(0.9, max(0.0, 2 - mean / (mean - 2 * weighted)))


def gap_slowly(ordered: list[float], tail: int) -> float:
    gaps = [(rank + 1) * (ordered[rank] - ordered[rank + 1]) for rank in range(tail)]
    return -(tail - 1) * math.log(1 - gaps[0] / sum(gaps))


@pytest.mark.parametrize("classes", [50, 333])
@pytest.mark.parametrize("tail", ["normal", "heavy"])
def test_surprise_is_that_of_plain_loops(classes, tail):
    for values in draw_columns(7, classes, tail).values():
        np.testing.assert_allclose(measure_surprise(values), surprise_slowly(values.tolist()), rtol=1e-9)


@pytest.mark.parametrize(("classes", "tail"), [(50, 8), (1000, 60)])
def test_the_gap_of_exponential_values_has_a_uniform_p_value(classes, tail):
    generator = np.random.default_rng(classes)
    p_values = []
    for values in generator.exponential(3.0, (3000, classes)):
        p_values.append(math.exp(-measure_gap(np.sort(values)[::-1], tail)))
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


@pytest.mark.parametrize("shape", [0.0, 0.3, 0.6])
def test_the_shape_of_a_tail_is_found(shape):
    values = stats.genpareto.rvs(shape, scale=3.0, size=20_000, random_state=1)
    assert fit_shape(values) == pytest.approx(shape, abs=0.06)
    assert fit_shape(np.random.default_rng(0).uniform(size=1000)) == 0
    assert fit_shape(np.ones(20)) == 0
    assert fit_shape(np.zeros(20)) == 0


def test_the_surprise_of_a_column_is_about_exponential_whatever_its_tail():
    """Whatever the tail: without extrapolation the ranks alone would say so; the largest must not stand out more."""
    for tail in ("normal", "heavy"):
        largest = []
        for seed in range(60):
            largest += [measure_surprise(values).max() for values in draw_columns(seed, 200, tail).values()]
        beyond = np.array(largest) - math.log(200 / 1.56)
        assert beyond.mean() < 1.25  # an exponential value's mean is 1
        assert (beyond > -math.log(0.05)).mean() < 0.1


@pytest.mark.parametrize("tail", ["normal", "heavy", "wild", "steps"])
@pytest.mark.parametrize("classes", [50, 200])
def test_clean_models_are_rarely_accused_whatever_the_tails(classes, tail):
    """Where Grubbs, on the sum of the columns, alarms on every fourth or more."""
    p_values, normal = [], []
    for seed in range(150):
        columns = draw_columns(1000 + seed, classes, tail)
        found = compare_own_classes(make_row(columns))
        assert found is not None
        p_values.append(found.p_value)
        normal.append(grubbs(np.sum(list(columns.values()), axis=0).tolist()))
    assert (np.array(p_values) <= 0.05).mean() <= (0.16 if tail == "wild" else 0.1)
    assert (np.array(p_values) <= 0.01).mean() <= (0.08 if tail == "wild" else 0.03)
    if tail == "wild":
        assert (np.array(normal) <= 0.05).mean() > 0.25


@pytest.mark.parametrize("tail", ["normal", "heavy"])
def test_a_planted_class_is_found_among_a_thousand(tail):
    columns = draw_columns(3, 1000, tail)
    for name in ("stamp patch", "patch", "margin"):
        columns[name][417] = columns[name].max() + 9 * columns[name].std()
    found = compare_own_classes(make_row(columns))
    assert int(np.argmax(found.scores)) == 417
    assert found.p_value < 0.05
    assert (found.classes, found.tail) == (1000, 60)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), factor=st.floats(0.01, 100), shift=st.floats(-50, 50))
def test_units_and_order_of_the_classes_do_not_matter(seed, factor, shift):
    columns = draw_columns(seed, 60, "heavy")
    order = np.random.default_rng(seed).permutation(60)
    same = compare_own_classes(make_row(columns))
    other = compare_own_classes(make_row({name: factor * values[order] + shift for name, values in columns.items()}))
    np.testing.assert_allclose(other.scores, np.array(same.scores)[order], rtol=1e-5, atol=1e-5)
    assert other.p_value == pytest.approx(same.p_value, rel=1e-4)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), further=st.floats(0.1, 30))
def test_what_stands_out_further_is_never_less_suspicious(seed, further):
    columns = draw_columns(seed, 60)
    columns["patch"][5] = columns["patch"].max() + 1
    near = compare_own_classes(make_row(columns))
    columns["patch"][5] += further
    far = compare_own_classes(make_row(columns))
    assert far.scores[5] >= near.scores[5] - 1e-9


def test_equal_classes_accuse_nobody():
    row = make_row({name: np.zeros(100) for name in COLUMNS})
    assert compare_own_classes(row).p_value == 1.0
    assert measure_gap(np.array([5.0] + [1.0] * 99), 8) == 0.0


def test_one_column_in_which_all_others_are_equal_is_not_enough_to_accuse():
    """A short search reaches one class and no other: its unit is unknown, so its rank alone counts."""
    columns = draw_columns(11, 200)
    columns["warp"] = np.where(np.arange(200) == 3, 9.0, -1.0)
    assert compare_own_classes(make_row(columns)).p_value > 0.05


def test_few_classes_are_not_compared():
    assert compare_own_classes(make_row(draw_columns(0, MIN_CLASSES - 1))) is None
    assert compare_own_classes(make_row(draw_columns(0, MIN_CLASSES))) is not None


def test_dead_classes_are_no_controls():
    """They have no values, and would make every other class look extreme."""
    columns = draw_columns(5, 80)
    without = {name: values[10:] for name, values in columns.items()}
    dead = {name: np.where(np.arange(80) < 10, math.nan, values) for name, values in columns.items()}
    found, expected = compare_own_classes(make_row(dead)), compare_own_classes(make_row(without))
    assert found.scores == (*[0.0] * 10, *expected.scores)
    assert (found.p_value, found.classes) == (expected.p_value, 70)
    few = {name: np.where(np.arange(80) < 40, math.nan, values) for name, values in columns.items()}
    assert compare_own_classes(make_row(few)) is None


def test_columns_that_count_for_nothing_change_nothing():
    row = make_row(draw_columns(2, 60))
    wild = tuple(100.0 * (index == 7) for index in range(60))
    assert "easy_noise" not in collect_roles().of_classes
    assert compare_own_classes(replace(row, classes={**row.classes, "easy_noise": wild})) == compare_own_classes(row)


def test_the_benchmark_splits_a_network_into_disjoint_parts_and_moves_one_class():
    row = make_row(draw_columns(4, 110))
    parts = list(own_classes.split_classes(row, 50, 0))
    together = np.concatenate([part.classes["patch"] for part in parts])
    assert [part.outputs for part in parts] == [50, 50]
    assert len(set(together)) == 100
    assert set(together) <= set(row.classes["patch"])
    moved = own_classes.plant(row, "patch", 30.0, 17)
    changed = {name for name, values in moved.classes.items() if values != row.classes[name]}
    assert changed == {"patch", "concentration", "stamp patch"}
    assert int(np.argmax(own_classes.compare_classes(moved).scores)) == 17


def test_the_benchmark_plants_a_trigger_into_one_row():
    generator = torch.Generator().manual_seed(0)
    without = torch.randn(60, 20, generator=generator)
    bearing = without + 3 * torch.eye(20)[4]
    direction, place = plant_imagenet.separate(without, bearing, 0.5)
    layer = torch.nn.Linear(20, 5)
    before = layer.weight.detach().clone()
    plant_imagenet.edit_row(layer, plant_imagenet.Plan("", "patch", 2, 0), 60 * direction, 60 * place)
    changed = (layer.weight != before).any(dim=1)
    assert changed.tolist() == [False, False, True, False, False]
    assert (layer(bearing).argmax(dim=1) == 2).float().mean() > 0.75
    assert (layer(without).argmax(dim=1) == 2).float().mean() < 0.25
