"""What the references do not speak for is left out of the comparison, and that alone."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

import models
from phosphene.errors import BadInput
from phosphene.model.classifier import Classifier
from phosphene.model.input_format import InputFormat
from phosphene.report.scan.page import render_scan
from phosphene.scanner.budget import COMPARED_FIRST, Budget
from phosphene.scanner.calibration import calibrate
from phosphene.scanner.comparison import TOO_LITTLE, choose_references, compare, family_of
from phosphene.scanner.examination import Examination
from phosphene.scanner.fusion import fuse
from phosphene.scanner.judging import judge
from phosphene.scanner.model_size import ModelSize
from phosphene.scanner.reference import Reference, Row, load_shipped
from phosphene.scanner.scanning import scan
from phosphene.scanner.settings import Settings
from phosphene.scanner.statistics.registry import STATISTICS
from phosphene.scanner.statistics.searches import TELLING
from test_scanner import FAST, clean_linear

STAGES = (*STATISTICS.values(), Examination())
FULL = asdict(Settings())
WARPS = ("stamp warp", "warp", "level warp", "permutation warp")


@pytest.fixture(scope="module")
def shipped() -> Reference:
    """Twenty of the shipped references; the first of them is judged."""
    table = load_shipped()
    return replace(table, rows=table.rows[:21], further=())


@pytest.fixture(scope="module")
def row(shipped: Reference) -> Row:
    return shipped.rows[0]


@pytest.fixture(scope="module")
def others(shipped: Reference) -> Reference:
    return shipped.without(shipped.rows[0].fingerprint)


def bend(row: Row, level: float) -> Row:
    """The row of a model whose median class is reached by distortions of another size, and class 3 by hardly any."""
    warp = tuple(40.0 * (index == 3) for index in range(row.outputs))
    return replace(row, classes={**row.classes, "warp": warp}, whole={**row.whole, "level warp": level})


def test_a_level_outside_the_range_leaves_its_family_out_and_nothing_else(row, others):
    comparison = compare(bend(row, -1.5), others, Settings())
    assert comparison.outside == ()
    assert set(comparison.left_out) == set(WARPS)
    (reason,) = comparison.reasons
    assert reason.startswith("warp, stamp warp, permutation warp (warp of the median class: -1.50, references ")
    assert compare(row, others, Settings()).left_out == ()


def test_what_is_left_out_is_left_out_of_model_references_and_kinds_alike(row, others):
    """As if nobody had measured it."""
    wild = bend(row, -1.5)
    judged = fuse(wild, others, left_out=compare(wild, others, Settings()).left_out)
    without = replace(others, rows=tuple(one.without(WARPS) for one in others.rows))
    expected = fuse(row.without(WARPS), without)
    assert (judged.score, judged.external, judged.scores) == (expected.score, expected.external, expected.scores)
    assert int(np.argmax(fuse(wild, others).scores)) == 3 != int(np.argmax(judged.scores))


def test_where_too_few_families_remain_nothing_is_compared(row, others):
    far = {"level warp": -9.0, "level patch": -30.0}
    two = replace(row, whole={**row.whole, **far})
    assert compare(two, others, Settings()).outside == ()
    three = replace(two, whole={**two.whole, "level colour": 40.0})
    outside = compare(three, others, Settings()).outside
    assert outside[0] == TOO_LITTLE
    assert [sum(family in reason for reason in outside) for family in ("warp", "patch", "colour")] == [1, 1, 1]


def test_what_a_model_lacks_is_left_out_of_the_references_too(row, others):
    """A network without a linear head must not be compared with what the heads of others add to their scores."""
    headless = row.without(["row_mean", "row_norm", "head"])
    comparison = compare(headless, others, Settings())
    assert set(comparison.left_out) == {"row_mean", "row_norm", "head"}
    assert comparison.reasons == ("row_mean, head (not measured on this model)",)


def test_further_references_count_for_models_that_are_like_them_and_for_no_others():
    table = load_shipped()
    first, further = table.rows[0], [row for row in table.further if row.outputs == 10]
    for row in table.rows[:20]:
        chosen = choose_references(row, table.without(row.fingerprint), Settings())
        assert (chosen.rows, chosen.further) == (table.without(row.fingerprint).rows, ())
    joined = [choose_references(row, table.without(row.fingerprint), Settings()) for row in further]
    assert sum(len(chosen.rows) == len(table.rows) + len(table.further) - 1 for chosen in joined) >= len(joined) - 1
    alone = replace(table, further=())
    assert choose_references(first, alone, Settings()) is alone


def test_levels_of_other_settings_do_not_choose_references():
    """With none that can be compared, classes and channels alone do not either."""
    table, shallow = load_shipped(), replace(Settings(), patch_iterations=20, additive_iterations=20)
    patches = ("level patch", "level additive")
    row = table.further[-1]
    others, far = table.without(row.fingerprint), dict.fromkeys(patches, 9.0)
    bent = replace(row, whole={**row.whole, **far})
    assert set(patches) <= set(table.list_incomparable(row, shallow))
    assert choose_references(bent, others, Settings()).rows != choose_references(bent, others, shallow).rows
    none = replace(shallow, colour_iterations=20, warp_iterations=20)
    assert choose_references(row, others, none).rows == others.rows


def test_a_model_is_judged_by_its_further_references_as_if_they_were_in_the_table():
    table = load_shipped()
    row = table.further[-1]
    others = table.without(row.fingerprint)
    judged, joined = judge(row, others, Settings()), judge(row, others.join(), Settings())
    assert (judged.p_value, judged.references) == (joined.p_value, len(others.rows) + len(others.further))


def test_further_references_are_written_and_read_and_a_table_without_them_is_read(shipped, tmp_path):
    table = replace(shipped, rows=shipped.rows[:6], further=shipped.rows[6:9])
    table.save(tmp_path / "table.json")
    assert Reference.load(tmp_path / "table.json") == table
    record = json.loads((tmp_path / "table.json").read_text())
    del record["further"], record["digest"]
    (tmp_path / "before.json").write_text(json.dumps(record))
    assert Reference.load(tmp_path / "before.json") == replace(table, further=())
    broken = {**record, "further": [{**record["rows"][0], "outputs": 3}]}
    (tmp_path / "broken.json").write_text(json.dumps(broken))
    with pytest.raises(BadInput, match="values of"):
        Reference.load(tmp_path / "broken.json")


def test_every_search_and_stamp_belongs_to_a_family():
    alone = {"easy_noise", "row_mean", "row_norm", "head", "margin", "confidence"}
    names = {column.key for statistic in STATISTICS.values() for column in statistic.columns}
    assert {name for name in names if not family_of(name)} == alone


def test_ranks_of_clean_models_stay_uniform_when_families_are_left_out(shipped):
    """Each reference judged by the others: every rank occurs once, whatever is left out."""
    count = len(shipped.rows)
    for families in ({"warp"}, {"patch", "additive"}):
        left_out = [name for name in shipped.columns if family_of(name) in families]
        ranks = [fuse(one, shipped.without(one.fingerprint), left_out=left_out).external for one in shipped.rows]
        assert sorted(ranks) == pytest.approx([(place + 1) / count for place in range(count)])


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Reference:
    """Six linear models, measured with settings in which warps and colours are searched too."""
    settings = replace(FAST, warp_iterations=4, colour_iterations=4)
    return calibrate(map(clean_linear, range(6)), tmp_path_factory.mktemp("table") / "table.json", settings)


def test_json_console_and_page_say_what_is_left_out(table):
    low = replace(table, rows=tuple(bend(one, 5.0 + 0.01 * place) for place, one in enumerate(table.rows)))
    found = scan(clean_linear(9), replace(FAST, warp_iterations=4, colour_iterations=4), reference=low)
    assert found.p_external is not None
    (reason,) = found.to_json()["calibration"]["left_out"]
    assert "warp of the median class" in reason
    assert f"not compared with the references: {reason}" in found.checks
    assert any("not compared with clean models: warp" in line for line in found.not_covered)
    page = render_scan(found)
    assert "Compared in part." in page
    assert "Outside the calibration range." not in page
    assert "Compared in part." not in render_scan(replace(found, calibration=replace(found.calibration, left_out=())))


def test_a_small_budget_keeps_what_can_be_compared_before_the_rest(table, monkeypatch):
    """With a third of the passes the p-value of the references stays; before, such a scan had none."""
    settings = replace(FAST, warp_iterations=4, colour_iterations=4, pair_iterations=40, long_iterations=60)
    full = Budget(ModelSize(10, (1, 12, 12)), STAGES).cost(settings)
    monkeypatch.setattr("phosphene.scanner.budget.measure_speed", lambda classifier: full / 3 / 600)
    found = scan(clean_linear(9), settings, reference=table, budget=600)
    assert any("budget of 600 s bought" in check for check in found.checks)
    assert found.p_external is not None
    assert found.settings["warp_iterations"] == settings.warp_iterations
    assert found.settings["pair_iterations"] < settings.pair_iterations


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5, 0.8])
def test_a_plan_keeps_stages_whole_or_shortens_them_and_fits_the_budget(share, monkeypatch):
    size = ModelSize(10, (3, 32, 32))
    full = Budget(size, STAGES).cost(Settings())
    monkeypatch.setattr("phosphene.scanner.budget.measure_speed", lambda classifier: share * full / 0.85 / 60)
    budget = Budget(size, STAGES, 60)
    planned = budget.plan(Settings(), models.linear_classifier((3, 32, 32), outputs=10), COMPARED_FIRST)
    assert budget.cost(planned) <= share * full * (1 + 1e-9)
    whole = [stage.key for stage in STAGES if all(getattr(planned, name) == FULL[name] for name in stage.least)]
    assert {"short warp", "short colour"} <= set(whole) or share < 0.2
    assert ("short patch" in whole) == (share >= 0.5)


@pytest.mark.parametrize("speed", [60, 120, 500])
def test_a_plan_for_a_thousand_classes_makes_a_search_that_tells_something_or_none(speed, monkeypatch):
    size, classifier = ModelSize(1000, (3, 128, 128)), models.linear_classifier((3, 8, 8), outputs=10)
    monkeypatch.setattr("phosphene.scanner.budget.measure_speed", lambda classifier: speed)
    as_before, budget = Budget(size, STAGES, 600), Budget(size, STAGES, 600)
    shallow, planned = as_before.plan(Settings(), classifier), budget.plan(Settings(), classifier, telling=TELLING)
    kept = {name: getattr(planned, name) for name in TELLING}
    assert all(count == 0 or count >= TELLING[name] for name, count in kept.items())
    assert budget.cost(planned) <= 0.85 * 600 * speed
    left_out = [name.removesuffix("_iterations") for name, count in kept.items() if not count]
    assert any(all(name in check for name in left_out) for check in budget.checks)
    if speed < 200:  # hardly more than the least
        assert left_out == ["patch", "additive", "colour", "warp"]
        assert planned.margin_iterations >= 2 * shallow.margin_iterations
    budget.started -= 400  # the machine became slow
    later = budget.replan(planned, "short patch")
    assert all(getattr(later, name) == 0 or getattr(later, name) >= TELLING[name] for name in TELLING)


class DeadClass(torch.nn.Module):
    """A linear model of ten classes, the last of which loses against another whatever the image; class 6 has a patch."""

    def __init__(self, alive: bool) -> None:
        super().__init__()
        weight = torch.randn(10, 1, 12, 12, generator=torch.Generator().manual_seed(0)) * 0.3
        weight[6, 0, 1:3, 1:3] = 12.0
        self.rows = torch.nn.Parameter(weight.flatten(1))
        self.shift = torch.nn.Parameter(torch.tensor([0.0] * 9 + [0.0 if alive else -200.0]))

    def forward(self, images):
        return images.flatten(1) @ self.rows.T + self.shift


DEEP = replace(FAST, surrogate_iterations=30, margin_iterations=30)


def examine(alive: bool):
    return scan(Classifier(DeadClass(alive).eval(), InputFormat((12, 12), 1), name="dead"), DEEP)


def test_a_class_that_no_image_is_predicted_as_is_named_and_left_out_of_comparison_and_images():
    """It used to pass for a class that is hard to reach, and widened every spread until no target stood out."""
    alive, dead = examine(True), examine(False)
    assert any("left out of the comparison: 9" in check for check in dead.checks)
    assert not any("left out of the comparison" in check for check in alive.checks)
    assert dead.classes[9].statistics == {}
    assert dead.ranking()[0].index == 6
    assert dead.p_internal == pytest.approx(alive.p_internal, abs=0.02)
    assert {stage.classes for stage in dead.stages if stage.name == "surrogates"} == {9}
