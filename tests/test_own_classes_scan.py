"""A scan of a model of many classes that no references are like: verdict, record, page, console and exports."""

from __future__ import annotations

import json
from dataclasses import replace

import jsonschema
import pytest
import torch

import models
from command import FORMAT, phosphene
from phosphene.cli.scan import describe_verdict
from phosphene.core.records import to_plain
from phosphene.model.classifier import Classifier
from phosphene.report.scan.page import render_scan
from phosphene.scanner.examination import choose_family
from phosphene.scanner.families import FAMILIES
from phosphene.scanner.folder.record import describe_model
from phosphene.scanner.judging import judge
from phosphene.scanner.own_classes import ASSUMES, compare_own_classes
from phosphene.scanner.pvalues import combine
from phosphene.scanner.record import OwnClasses, Scan, schema
from phosphene.scanner.reference import Reference
from phosphene.scanner.scanning import scan
from phosphene.scanner.settings import Settings
from phosphene.scanner.statistics.registry import split_settings
from test_exports import ARTIFACT, make_attestation, make_cyclonedx, make_sarif, validate_cyclonedx, validate_sarif
from test_own_classes import draw_columns, make_row
from test_scan_report import made, text_of

QUICK = Settings(surrogates=1, surrogate_iterations=8, stamps=8, images=2, patch_iterations=8, additive_iterations=6,
                 colour_iterations=0, warp_iterations=0, margin_starts=1, margin_iterations=6, permutation_iterations=0,
                 window_iterations=2, top=1, controls=1, long_iterations=6, restarts=1)  # fmt: skip
NO_TABLE = Reference("none", "", {}, ())


def linear(seed: int, classes: int = 60, planted: int | None = None) -> Classifier:
    """Random rows without brightness; that of a planted class speaks five times as loudly."""
    weight = torch.randn(classes, 1, 12, 12, generator=torch.Generator().manual_seed(seed)) * 0.3
    weight -= weight.mean(dim=(1, 2, 3), keepdim=True)
    if planted is not None:
        weight[planted] *= 5
    return models.linear_classifier(weight=weight)


@pytest.fixture(scope="module")
def accused() -> Scan:
    return scan(linear(0, planted=23), QUICK, reference=NO_TABLE)


@pytest.fixture(scope="module")
def harmless() -> Scan:
    return scan(linear(1), QUICK, reference=NO_TABLE)


def test_a_scan_without_a_search_of_all_classes_finds_the_planted_one_and_searches_it_longer():
    found = scan(linear(0, planted=23), replace(QUICK, patch_iterations=0, additive_iterations=0), reference=NO_TABLE)
    assert found.ranking()[0].index == found.trigger.target.index == 23
    assert any("patch, additive, colour, warp" in one for one in found.not_covered[5:])
    assert not {"short patch", "short additive"} & {stage.name for stage in found.stages}


def test_what_is_searched_longer_is_the_family_that_stamps_speak_of_where_it_was_not_searched_before():
    columns = {name: values for name, values in draw_columns(0, 60).items() if name not in FAMILIES}
    columns["stamp warp"][7] = columns["stamp warp"].max() + 9
    judged = judge(make_row(columns), NO_TABLE, QUICK).fused
    assert choose_family(replace(QUICK, warp_iterations=0), judged, 7) == "warp"
    assert choose_family(QUICK, judged, 7) == "warp"


def test_a_budget_of_more_than_a_hundred_classes_leaves_out_what_would_turn_nothing(monkeypatch):
    settings = replace(QUICK, patch_iterations=100, additive_iterations=60, margin_iterations=60)
    monkeypatch.setattr("phosphene.scanner.budget.measure_speed", lambda classifier: 30)
    for classes, searched in ((120, False), (60, True)):
        found = scan(linear(0, classes, planted=23), settings, reference=NO_TABLE, budget=600)
        assert ("short patch" in [stage.name for stage in found.stages]) == searched
        assert any("too few iterations to tell something" in one for one in found.checks) != searched


def test_the_own_classes_decide_where_no_references_do(accused, harmless):
    assert accused.p_external is None
    assert accused.own_classes is not None
    assert accused.p_value == accused.own_classes.p_value <= 0.05
    assert accused.verdict == "inconclusive"  # by its own classes alone nobody is accused
    assert (accused.target.index, accused.ranking()[0].index, accused.trigger.target.index) == (23, 23, 23)
    assert harmless.p_value == harmless.own_classes.p_value > 0.05
    assert harmless.verdict == "nothing found"


def test_the_record_names_the_p_value_and_what_it_assumes(accused, tmp_path):
    assert accused.own_classes == OwnClasses(accused.p_value, 60, 9, ASSUMES)
    jsonschema.validate(accused.to_json(), schema(), cls=jsonschema.Draft202012Validator)
    accused.save(tmp_path / "scan.json")
    assert Scan.load(tmp_path / "scan.json") == accused
    assert describe_model("f", "0" * 64, {}, {}, accused, tmp_path / "scan.json").p_own_classes == accused.p_value


def test_a_record_without_it_is_read_as_before(accused):
    older = {name: value for name, value in accused.to_json().items() if name not in ("own_classes", "digest")}
    assert Scan.from_json(older) == replace(accused, own_classes=None)


def test_checks_page_and_console_say_that_the_own_classes_were_compared(accused):
    (check,) = [one for one in accused.checks if "outside the calibration range" in one]
    assert check.endswith(f"the p-value is by the model's own 60 classes; it assumes that {ASSUMES}")
    text = text_of(accused)
    assert "p-value, by its own classes" in text
    assert "60 classes of this model are each other's controls" in text
    assert ASSUMES in text
    assert f"own classes {accused.p_value:.3g}" in describe_verdict(accused)[1]
    assert 'id="p-own-classes"' in render_scan(made())
    assert "Not used: clean reference models speak for this model." in text_of(made())


def test_the_exports_list_it_with_what_it_assumes(accused):
    validate_sarif(log := make_sarif(accused, ARTIFACT))
    (result,) = log["runs"][0]["results"]
    assert result["properties"]["p_own_classes"] == accused.p_value
    assert "by the model's own classes" in result["message"]["text"]
    validate_cyclonedx(bill := make_cyclonedx(accused, ARTIFACT))
    metrics = bill["components"][0]["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    (own,) = [one for one in metrics if "own classes" in one["type"]]
    assert (float(own["value"]), own["slice"]) == (pytest.approx(accused.p_value, rel=1e-5), f"assumes that {ASSUMES}")
    assert "own 60 classes" in json.dumps(make_attestation(accused, ARTIFACT))
    assert make_sarif(made(), ARTIFACT)["runs"][0]["results"][0]["properties"]["p_own_classes"] is None


def test_a_base_counts_beside_the_own_classes(accused):
    """Both ask of one model: a share of the level each keeps it however they depend on each other."""
    clean = linear(0)
    found = scan(linear(0, planted=23), QUICK, reference=NO_TABLE, against=clean)
    assert found.own_classes == accused.own_classes
    assert found.against.method == "tail"
    assert found.against.p_value <= 0.045
    assert found.p_value == min(found.against.p_value / 0.9, found.own_classes.p_value / (1 - 0.9)) <= 0.05
    assert found.verdict in ("suspicious", "backdoor-like")
    assert found.score == max(found.against.scores) == found.ranking()[0].score
    assert found.target.index == 23
    assert any("own 60 classes and by the differences from the base" in one for one in found.checks)
    text = text_of(found)
    assert "p-value, both together" in text
    assert "by the model's own classes divided by 0.1" in text
    assert "placed by its score, in nats" in text
    assert "compared with its own classes and with its base" in text
    assert "compared with its own classes alone" in text_of(accused)
    assert "Here the scores are those of the differences from the base, in nats." in text


def test_too_few_classes_are_said_and_accuse_nobody():
    found = scan(linear(0, classes=12, planted=5), QUICK, reference=NO_TABLE)
    assert found.own_classes is None
    assert found.p_value == found.p_internal
    assert found.verdict in ("inconclusive", "nothing found")
    assert "no p-value by the model's own classes, for fewer than 50 can be compared" in found.checks
    assert "fewer than 50, too few" in text_of(found)


def test_references_that_speak_for_a_model_leave_its_own_classes_out():
    """Compared with its likes, a model of many classes has the external p-value, and its scores are those of it."""
    levels = {f"level {family}": 0.0 for family in FAMILIES}
    rows = [replace(make_row(draw_columns(seed, 60)), whole=levels) for seed in range(9)]
    settings, own = Settings(), compare_own_classes(rows[0])
    alone = judge(rows[0], NO_TABLE, settings)
    assert alone.controls == own
    assert alone.fused.scores == own.scores
    assert alone.p_value == own.p_value
    table = Reference("like it", "", split_settings(to_plain(settings)), tuple(rows[1:]))
    compared = judge(rows[0], table, settings)
    assert (compared.controls, compared.own_classes) == (None, None)
    assert compared.p_value == combine(compared.fused.internal, compared.fused.external)
    assert combine(0.3, 0.2, own=1e-9) == combine(0.3, 0.2)
    assert combine(1e-9, None, own=0.4) == 0.4


def test_the_command_names_it(accused, monkeypatch):
    monkeypatch.setattr("phosphene.scanner.scanning.scan", lambda *_, **__: accused)
    outcome = phosphene("scan", "--factory", "models:colour_net", *FORMAT)
    assert outcome.code == 3, outcome.err
    assert "the p-value is by the model's own 60 classes" in outcome.out
