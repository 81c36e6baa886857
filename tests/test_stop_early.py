"""A model in which the first statistics show nothing is not measured further, and its p-value stays true."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from command import from_factory, phosphene, saved
from models import colour_net
from phosphene.errors import BadInput
from phosphene.report.scan.page import render_scan
from phosphene.report.scan.rerun import format_scan_command, format_scan_snippet
from phosphene.scanner.budget import Budget
from phosphene.scanner.calibration import calibrate, measure_row
from phosphene.scanner.judging import judge
from phosphene.scanner.record import Scan
from phosphene.scanner.reference import Reference
from phosphene.scanner.scanning import scan
from phosphene.scanner.settings import Settings
from phosphene.scanner.statistics.registry import CLEAR, FIRST, LATER, STATISTICS, list_later
from test_scanner import FAST, clean_linear

SEEDS = range(30, 38)
LATE = {statistic.key for statistic in LATER}


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Reference:
    return calibrate(map(clean_linear, range(12)), tmp_path_factory.mktemp("clean") / "table.json", FAST)


@pytest.fixture(scope="module")
def scans(table) -> Sequence[tuple[Scan, Scan]]:
    """Of each model the scan as it is made, and the thorough one."""
    thorough = replace(FAST, clear=1.0)
    return [tuple(scan(clean_linear(seed), one, reference=table) for one in (FAST, thorough)) for seed in SEEDS]


def stages_of(found: Scan) -> set[str]:
    return {stage.name for stage in found.stages}


def test_both_kinds_of_models_are_among_those_that_are_scanned(scans):
    assert {CLEAR in early.checks for early, _ in scans} == {True, False}
    assert not any(CLEAR in thorough.checks for _, thorough in scans)


def test_a_model_that_is_clear_has_the_p_value_of_its_first_statistics_and_no_later_ones(scans, table):
    for seed, (early, thorough) in zip(SEEDS, scans, strict=True):
        first = judge(measure_row(clean_linear(seed), FAST).without(list_later()), table, FAST).p_value
        assert (CLEAR in early.checks) == (first > FAST.clear)
        if CLEAR in early.checks:
            assert early.p_value == pytest.approx(first)
            assert early.verdict == "nothing found"
            assert not LATE & stages_of(early)
            assert early.passes < thorough.passes
            assert not list_later() & {name for one in early.classes for name in one.statistics}


def test_a_model_that_is_not_clear_is_scanned_as_if_all_were_asked_for(scans):
    left = [(early, thorough) for early, thorough in scans if CLEAR not in early.checks]
    for early, thorough in left:
        assert stages_of(early) == stages_of(thorough) >= LATE & stages_of(thorough)
        assert (early.classes, early.p_value, early.verdict) == (thorough.classes, thorough.p_value, thorough.verdict)


def test_what_is_left_out_is_said_once_with_how_it_can_be_had_on_the_page_too(scans):
    early = next(early for early, _ in scans if CLEAR in early.checks)
    assert not [check for check in early.checks if "not measured on this model" in check]
    assert early.calibration.left_out == ()
    page = render_scan(early)
    assert page.count("so the later ones were not measured (margins, other stamps, squares, permutations)") == 1
    assert "scan with --thorough and another --seed" in page
    assert "the last three" not in page


def test_a_thorough_scan_is_repeated_as_one(scans):
    early, thorough = scans[0]
    assert "clear': 1.0" in format_scan_snippet(thorough)
    assert "clear': 0.4" in format_scan_snippet(early)
    known = replace(thorough.model, name="efficientnet_lite0")
    assert format_scan_command(replace(thorough, model=known)).count(" --thorough") == 1
    assert "--thorough" not in format_scan_command(replace(early, model=known))


def test_small_p_values_are_not_more_frequent_than_without(scans):
    """Where a scan is stopped its p-value is above `clear`; so at each level up to it no more lie below."""
    early, thorough = (np.array([pair[place].p_value for pair in scans]) for place in (0, 1))
    for level in np.linspace(0.02, FAST.clear, 20):
        assert (early <= level).sum() <= (thorough <= level).sum()


def test_with_a_base_every_statistic_is_measured_for_the_differences_need_them(table):
    clear = replace(FAST, clear=0.0)
    assert not LATE & stages_of(scan(clean_linear(31), clear, reference=table))
    with_base = scan(clean_linear(31), clear, reference=table, against=clean_linear(32))
    assert {"margins", "other stamps"} <= stages_of(with_base)


def test_without_references_that_speak_for_it_a_model_is_measured_whole():
    found = scan(clean_linear(31), replace(FAST, clear=0.0))
    assert found.p_external is None
    assert {"margins", "other stamps"} <= stages_of(found)


def test_the_first_statistics_and_the_later_ones_are_all_that_are_measured():
    assert [*STATISTICS.values()] == [*FIRST, *LATER]
    levels = {column.key for statistic in FIRST for column in statistic.columns if column.level}
    assert len(levels) == 4  # by which a model is likened to the references, before it is called clear


def test_clear_is_a_number_of_at_least_0():
    with pytest.raises(BadInput, match=r"clear=-0\.1"):
        Settings(clear=-0.1)
    with pytest.raises(BadInput, match="clear=nan"):
        Settings(clear=float("nan"))


def test_thorough_on_the_command_line_measures_all(tmp_path, table, monkeypatch):
    weights, asked = saved(colour_net(), tmp_path / "weights.safetensors"), []

    def remember(classifier, settings, **options):
        asked.append(settings.clear)
        return scan(clean_linear(31), replace(FAST, clear=settings.clear), reference=table)

    monkeypatch.setattr("phosphene.scanner.scanning.scan", remember)
    for more, expected in (((), Settings().clear), (("--thorough",), 1.0)):
        outcome = phosphene("scan", *from_factory(weights), "--json", *more)
        assert json.loads(outcome.out)["settings"]["clear"] == expected
    assert asked == [Settings().clear, 1.0]


def test_a_scan_that_was_shortened_on_its_way_is_judged_by_what_was_kept_to(table, monkeypatch):
    """Statistics that were measured less deeply than those of the references say nothing of whether a model is clear."""
    clear = next(seed for seed in SEEDS if CLEAR in scan(clean_linear(seed), FAST, reference=table).checks)
    levels = ("patch_iterations", "additive_iterations")
    monkeypatch.setattr(
        Budget, "replan", lambda budget, settings, key: replace(settings, **dict.fromkeys(levels, FAST.long_iterations))
    )
    found = scan(clean_linear(clear), FAST, reference=table)
    assert found.p_external is None  # no level is comparable
    assert CLEAR not in found.checks
    assert {"margins", "other stamps"} <= stages_of(found)
