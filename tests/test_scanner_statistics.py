"""Every statistic is one entry of a registry, and its column stands or falls by its own settings alone."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest
import torch

import models
from command import phosphene
from phosphene.errors import DamagedArtifact
from phosphene.model.classifier import Classifier
from phosphene.report.scan.page import render_scan
from phosphene.scanner.budget import Budget
from phosphene.scanner.calibration import calibrate, measure_row
from phosphene.scanner.comparison import compare
from phosphene.scanner.examination import Examination
from phosphene.scanner.fusion import fuse
from phosphene.scanner.model_size import ModelSize
from phosphene.scanner.record import Scan, schema
from phosphene.scanner.reference import Reference, load_shipped
from phosphene.scanner.scanning import scan
from phosphene.scanner.settings import Settings
from phosphene.scanner.statistics.registry import FIRST, LATER, STATISTICS, collect_roles, list_columns
from test_scanner import FAST

ROOT = Path(__file__).resolve().parents[1]
OLD = ROOT / "tests" / "scans"
SMALL = ModelSize(10, (1, 12, 12))


def linear(seed: int) -> Classifier:
    weight = torch.randn(10, 1, 12, 12, generator=torch.Generator().manual_seed(100 + seed)) * 0.3
    return models.linear_classifier(weight=weight)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six clean models, measured before anything new is registered."""
    path = tmp_path_factory.mktemp("table") / "table.json"
    calibrate(map(linear, range(6)), path, FAST)
    return path


@pytest.fixture
def registry() -> Iterator[None]:
    """Whatever a test registers is gone again afterwards."""
    before = dict(STATISTICS)
    yield
    STATISTICS.clear()
    STATISTICS.update(before)


def page_blocks() -> list[str]:
    text = (ROOT / "docs" / "add-a-statistic.md").read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def documented(registry: None, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the page leaves behind: its statistic is registered, and `result` is a scan with it."""
    namespace: dict[str, Any] = {"__name__": "add_a_statistic"}
    monkeypatch.setitem(sys.modules, "add_a_statistic", ModuleType("add_a_statistic"))
    for code in page_blocks():
        exec(compile(code, "add-a-statistic.md", "exec"), namespace)
    return namespace


def test_a_statistic_is_one_file_of_thirty_lines_and_one_line_of_the_registry():
    file, line, *_ = page_blocks()
    assert len(file.splitlines()) <= 30
    assert len([one for one in line.splitlines() if one and not one.startswith("from ")]) == 1


def test_a_new_statistic_is_measured_counted_in_the_budget_and_named_by_the_report(documented):
    (new,) = STATISTICS.keys() - {statistic.key for statistic in (*FIRST, *LATER)}
    assert new == "checkers"
    assert {stage.name for stage in documented["result"].stages} >= {"checkers"}
    stages = (*STATISTICS.values(), Examination())
    without = [stage for stage in stages if stage.key != "checkers"]
    assert (
        Budget(SMALL, stages).cost(FAST) - Budget(SMALL, without).cost(FAST)
        == STATISTICS["checkers"].cost(FAST, SMALL)
        > 0
    )
    text = render_scan(documented["result"])
    assert "log of its mean probability on checkerboards" in text


def test_a_new_statistic_makes_no_other_column_of_the_shipped_table_stale(documented):
    shipped, row = load_shipped(), load_shipped().rows[0]
    others, settings = shipped.without(row.fingerprint), Settings()
    assert others.list_incomparable(row, settings) == ()
    measured = replace(row, classes={**row.classes, "checkers": tuple(float(index**3) for index in range(row.outputs))})
    assert others.list_incomparable(measured, settings) == ("checkers",)
    assert compare(measured, others, settings).left_out == ("checkers",)
    before, after = fuse(row, others), fuse(measured, others, left_out=("checkers",))
    assert (after.score, after.external, after.internal, after.scores) == (
        before.score, before.external, before.internal, before.scores)  # fmt: skip
    assert max(after.outliers["checkers"]) > 2


def test_a_scan_compares_all_columns_but_a_new_one_and_says_so(table, documented):
    result = scan(linear(9), FAST, reference=Reference.load(table))
    assert result.p_external is not None
    assert result.calibration.outside == ()
    assert result.checks[-1] == "not compared with the references: checkers (not measured on them)"


def test_calibrating_again_measures_nothing_but_what_is_new(table, documented, tmp_path, monkeypatch):
    path = tmp_path / "table.json"
    path.write_bytes(table.read_bytes())
    before = Reference.load(path)
    for key, statistic in STATISTICS.items():
        if key != "checkers":
            monkeypatch.setattr(type(statistic), "measure", lambda self, context: pytest.fail("measured again"))
    calibrate(map(linear, range(3)), path, FAST)
    assert not Reference.load(path).speaks_for("checkers", FAST)  # three of six models have it
    after = calibrate(map(linear, range(6)), path, FAST)
    assert after.speaks_for("checkers", FAST)
    assert {*after.columns} == {*before.columns, "checkers"}
    fingerprints = {row.fingerprint: row for row in after.rows}
    for row in before.rows:
        again = fingerprints[row.fingerprint]
        assert again.without(["checkers"]) == row
        assert "checkers" in again.classes


def test_a_column_of_other_settings_is_left_out_alone_and_named(table):
    reference = Reference.load(table)
    same, other = (scan(linear(9), replace(FAST, margin_iterations=count), reference=reference) for count in (10, 12))
    assert same.p_external is not None
    assert other.p_external is not None
    assert same.calibration.outside == other.calibration.outside == ()
    assert not any("not compared" in check for check in same.checks)
    assert other.checks[-1] == "not compared with the references: margin (measured with other settings on them)"


def test_a_column_that_is_left_out_cannot_decide_the_external_p_value(table):
    reference = Reference.load(table)
    row = measure_row(linear(9), FAST)
    wild = replace(row, classes={**row.classes, "margin": tuple(float(50 * (index == 3)) for index in range(10))})
    plain, extreme = (fuse(one, reference, left_out=("margin",)) for one in (row, wild))
    assert (plain.score, plain.external) == (extreme.score, extreme.external)
    assert fuse(wild, reference).score != fuse(row, reference).score


def test_columns_have_keys_of_their_own_and_settings_that_exist():
    keys = [column.key for statistic in STATISTICS.values() for column in statistic.columns]
    assert len(keys) == len(set(keys)) == len(list_columns())
    names = {field.name for field in fields(Settings)}
    for statistic in (*STATISTICS.values(), Examination()):
        assert set(statistic.least) <= names
        for name, least in statistic.least.items():  # a small budget leaves these out, and nothing else
            assert getattr(Settings(), name) >= least >= (name not in ("square_iterations", "window_iterations"))
    for statistic in STATISTICS.values():
        assert set(statistic.settings) <= names
        assert set(statistic.least) <= set(statistic.settings)


@pytest.mark.parametrize("key", STATISTICS)
def test_a_statistic_fills_the_columns_that_it_names(key):
    settings = replace(FAST, colour_iterations=2, warp_iterations=2)
    row = measure_row(models.grey_classifier(), settings, [STATISTICS[key]])
    assert row.classes.keys() == {column.key for column in STATISTICS[key].columns if not column.whole}
    assert row.whole.keys() == {column.key for column in STATISTICS[key].columns if column.whole}
    assert {len(values) for values in row.classes.values()} <= {10}


@pytest.mark.parametrize("key", STATISTICS)
def test_columns_change_with_the_settings_that_they_name(key):
    """A setting that is not named may be changed without changing a bit."""
    settings = replace(FAST, colour_iterations=2, warp_iterations=2)
    others = {field.name for field in fields(Settings)} - {"seed", *STATISTICS[key].settings}
    old = {name: getattr(settings, name) for name in others}
    changed = replace(
        settings, **{name: "0" * 64 if isinstance(value, str) else value + 1 for name, value in old.items()}
    )
    first, second = (measure_row(linear(0), one, [STATISTICS[key]]) for one in (settings, changed))
    assert (first.classes, first.whole) == (second.classes, second.whole)


def test_roles_follow_from_what_the_columns_speak_of():
    roles = collect_roles()
    assert set(roles.kinds) == {"patch", "polygon", "additive", "wave", "colour", "warp"}
    assert set(roles.kinds["patch"]) == {"patch", "concentration", "stamp patch", "square"}
    assert set(roles.any_kind) == {"row_mean", "head", "margin"}
    assert set(roles.whole) == {"permutation patch", "permutation additive", "permutation warp", "median stamp patch"}
    assert set(roles.levels) == {"level patch", "level additive", "level colour", "level warp"}


# --- records of version 0.1 ----------------------------------------------------------------------------------------


def test_a_scan_of_version_0_1_is_read_as_it_was_written():
    path = OLD / "scan-0.1.json"
    old, read = json.loads(path.read_text()), Scan.load(path)
    jsonschema.validate(read.to_json(), schema(), cls=jsonschema.Draft202012Validator)
    assert (read.verdict, read.p_value, read.score) == (old["verdict"], old["p_value"], old["score"])
    assert (read.model.outputs, read.model.fingerprint) == (10, old["model"]["fingerprint"])
    assert read.target is not None
    assert read.target.index == 6
    for one, was in zip(read.classes, old["classes"], strict=True):
        assert (one.name, one.score, one.outliers) == (was["name"], was["score"], was["outliers"])
        assert one.statistics["patch"] == was["patch"]
        assert one.statistics.keys() == was.keys() - {"index", "name", "score", "depth", "outliers"}
    assert Settings(**read.settings) == replace(FAST, square_iterations=Settings().square_iterations)  # had none
    assert "backdoor scan" in render_scan(read)


def test_the_scan_of_version_0_1_is_what_is_measured_today():
    """To the accuracy of another build's last bits, and of a search that amplifies them."""
    weight = torch.randn(10, 1, 12, 12, generator=torch.Generator().manual_seed(0)) * 0.3
    weight[6, 0, 1:3, 1:3] = 12.0
    old, new = (
        Scan.load(OLD / "scan-0.1.json"),
        scan(models.linear_classifier(weight=weight), replace(FAST, square_iterations=0)),
    )
    assert (new.verdict, new.target) == (old.verdict, old.target)
    assert new.calibration.outside == ("side in pixels: 12, references 28, 32",)  # the settings are no reason any more
    shared = old.classes[0].statistics.keys() & new.classes[0].statistics.keys()
    assert {"patch", "margin", "stamp patch"} <= shared
    for name in shared:  # scores depend on the references, which are others than they were
        before, after = ([one.statistics[name] for one in found.classes] for found in (old, new))
        assert after == pytest.approx(before, abs=0.05, nan_ok=True), name


def test_a_table_of_version_0_1_is_read_and_speaks_for_the_settings_that_it_was_measured_with():
    table = Reference.load(OLD / "table-0.1.json")
    measured = {name for row in table.rows for name in row.columns}
    assert set(table.columns) == measured
    assert all(table.speaks_for(name, FAST) for name in measured)
    assert not table.speaks_for("margin", replace(FAST, margin_starts=7))
    assert table.speaks_for("patch", replace(FAST, margin_starts=7))
    result = scan(linear(9), FAST, reference=table)
    assert result.p_external in [k / 6 for k in range(1, 7)]


@pytest.mark.parametrize("number", [3, "two", None])
def test_a_scan_of_another_format_is_refused_in_one_line(tmp_path, number):
    path = tmp_path / "scan.json"
    path.write_text(json.dumps({**json.loads((OLD / "scan-0.1.json").read_text()), "format": number}))
    with pytest.raises(DamagedArtifact, match=f"its format is {number!r}; this version reads formats 1 and 2"):
        Scan.load(path)
    outcome = phosphene("report", path)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)


@pytest.mark.parametrize("content", ["[]", "3", '"scan"', "{", '{"format": 2}', '{"format": 1}'])
def test_what_is_no_scan_at_all_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "scan.json"
    path.write_text(content)
    with pytest.raises(DamagedArtifact, match="is no scan") as refused:
        Scan.load(path)
    assert "\n" not in str(refused.value)
