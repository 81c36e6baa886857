"""The scanner: laws of its p-values, models whose answers are known, and the record that it writes."""

from __future__ import annotations

import json

import jsonschema
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import models
from command import phosphene
from phosphene.classifier import Classifier, InputFormat
from phosphene.scanner import Settings, scan
from phosphene.scanner.pvalues import combined, conformal, grubbs
from phosphene.scanner.record import Scan, schema

FAST = Settings(surrogates=2, surrogate_iterations=10, images=4, short={"patch": 12, "additive": 8}, pair_iterations=4,
                top=1, controls=1, long=10, restarts=2)  # fmt: skip


@pytest.mark.parametrize("count", [5, 10, 43])
def test_grubbs_is_uniform_below_a_tenth_when_no_class_stands_out(count):
    """The bound is exact as long as at most one class can exceed it, which is so for small p."""
    draws = np.random.default_rng(count).normal(size=(4000, count))
    values = np.array([grubbs(row) for row in draws])
    for level in (0.01, 0.05):
        share, error = (values <= level).mean(), (level * (1 - level) / len(values)) ** 0.5
        assert abs(share - level) < 4 * error


@given(st.lists(st.floats(-100, 100), min_size=3, max_size=20), st.floats(0.01, 100), st.floats(-50, 50))
def test_grubbs_does_not_depend_on_unit_and_origin(values, scale, origin):
    if np.std(values) < 1e-3:
        return
    assert grubbs([scale * value + origin for value in values]) == pytest.approx(grubbs(values), rel=1e-5, abs=1e-9)


def test_conformal_is_exactly_valid_among_exchangeable_models():
    """Of n + 1 exchangeable scores without ties, each rank is equally likely: P(p ≤ a) is the largest k/(n+1) ≤ a."""
    scores = np.random.default_rng(0).gamma(0.3, size=20)
    values = sorted(conformal(scores[i], np.delete(scores, i)) for i in range(20))
    assert values == pytest.approx([(k + 1) / 20 for k in range(20)])


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_combination_is_no_bolder_than_bonferroni(internal, external):
    """P(combined ≤ a) ≤ P(external ≤ w·a) + P(internal ≤ (1−w)·a) ≤ a, whatever their dependence."""
    p = combined(internal, external)
    assert p == 1 or internal <= 0.2 * p * (1 + 1e-9) or external <= 0.8 * p * (1 + 1e-9)
    assert p >= min(internal, external)


@pytest.fixture(scope="module")
def planted() -> Classifier:
    """A linear model of smooth rows, in which four pixels of one corner speak loudly for class 6 alone."""
    weight = torch.randn(10, 1, 12, 12, generator=torch.Generator().manual_seed(0)) * 0.3
    weight[6, 0, 1:3, 1:3] = 12.0
    return models.linear_classifier(weight=weight)


def test_a_planted_patch_is_found_in_its_place(planted):
    found = scan(planted, FAST)
    assert found.ranking()[0].index == 6
    assert found.trigger is not None
    assert found.trigger.target.index == 6
    left, top, right, bottom = found.trigger.box
    assert left < 3 and top < 3 and right > 1 and bottom > 1  # noqa: PT018


def test_the_same_seed_gives_the_same_scan(planted):
    first, second = (scan(planted, FAST).to_json() for _ in range(2))
    for record in (first, second):
        record.pop("seconds")
        for stage in record["stages"]:
            stage.pop("seconds")
    assert first == second


def test_the_order_of_the_classes_does_not_matter(planted):
    order = torch.tensor([3, 7, 1, 0, 9, 2, 6, 5, 8, 4])
    module = models.Linear(planted.module.weight.detach()[order], planted.module.bias.detach()[order])
    mixed = Classifier(module, InputFormat((12, 12), 1), labels=[planted.labels[k] for k in order], name="mixed")
    first, second = scan(planted, FAST), scan(mixed, FAST)
    scores = {one.name: one.score for one in second.classes}
    for one in first.classes:
        assert scores[one.name] == pytest.approx(one.score, abs=0.05)
    assert first.trigger.target.name == second.trigger.target.name


def test_a_scan_is_what_the_schema_says_and_reads_back(planted, tmp_path):
    found = scan(planted, FAST)
    jsonschema.validate(found.to_json(), schema(), cls=jsonschema.Draft202012Validator)
    found.save(tmp_path / "scan.json")
    assert Scan.load(tmp_path / "scan.json") == found


def test_a_budget_that_makes_no_sense_is_refused_in_one_line():
    outcome = phosphene("scan", "efficientnet_lite0", "--budget", "-1")
    assert (outcome.code, outcome.err) == (2, "phosphene: --budget is -1; expected seconds, more than 0\n")


def test_a_calibration_that_is_none_is_refused_in_one_line(tmp_path):
    path = tmp_path / "table.json"
    path.write_text(json.dumps({"rows": []}))
    outcome = phosphene("scan", "efficientnet_lite0", "--calibration", path)
    assert outcome.code == 2
    assert "is no calibration" in outcome.err
    assert outcome.err.count("\n") == 1
