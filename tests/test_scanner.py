"""The scanner: laws of its p-values, models whose answers are known, and the record that it writes."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import jsonschema
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import models
from command import phosphene
from phosphene.errors import BadInput
from phosphene.model.classifier import Classifier
from phosphene.model.input_format import InputFormat
from phosphene.scanner.budget import Budget
from phosphene.scanner.calibration import calibrate
from phosphene.scanner.comparison import TOO_LITTLE
from phosphene.scanner.examination import Examination, limit_last_stage
from phosphene.scanner.families import FAMILIES
from phosphene.scanner.fusion import fuse
from phosphene.scanner.margins import maximize_margins
from phosphene.scanner.model_size import ModelSize
from phosphene.scanner.pool import neg_log_p
from phosphene.scanner.pvalues import combine, conformal, grubbs
from phosphene.scanner.record import Scan, schema
from phosphene.scanner.reference import Reference, Row
from phosphene.scanner.scanning import check_duration, scan
from phosphene.scanner.settings import Settings
from phosphene.scanner.statistics.permutations import search_permutation
from phosphene.scanner.statistics.registry import STATISTICS
from phosphene.scanner.surrogates import render_surrogates

FAST = Settings(surrogates=2, surrogate_iterations=10, images=4, patch_iterations=12, additive_iterations=8,
                colour_iterations=0, warp_iterations=0, pair_iterations=4, margin_iterations=10,
                permutation_iterations=8, square_iterations=3, window_iterations=2, top=1, controls=1, long_iterations=10, restarts=2)  # fmt: skip


def total_cost(settings: Settings, classes: int = 10, shape: tuple[int, int, int] = (1, 12, 12)) -> int:
    return Budget(ModelSize(classes, shape), (*STATISTICS.values(), Examination())).cost(settings)


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
    p = combine(internal, external)
    assert p == 1 or internal <= 0.005 * p * (1 + 1e-6) or external <= 0.995 * p * (1 + 1e-9)
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
        record.pop("digest")
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
    found.save(str(tmp_path / "scan.json"))
    assert Scan.load(tmp_path / "scan.json") == found


def test_the_largest_margin_of_a_linear_model_is_the_sum_of_the_gaps_that_an_image_can_use():
    """With two classes the best image is white where the row wins and black elsewhere."""
    weight = torch.randn(2, 1, 6, 6, generator=torch.Generator().manual_seed(3))
    gap = (weight[0] - weight[1]).flatten()
    found = maximize_margins(models.linear_classifier(weight=weight), starts=2, iterations=40, seed=0)
    expected = torch.stack([gap.clamp(min=0).sum(), (-gap).clamp(min=0).sum()])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


class NextClass(torch.nn.Module):
    """Ten smooth rows; where a corner of four pixels is bright, every class becomes the one after it."""

    def __init__(self, planted: bool) -> None:
        super().__init__()
        coarse = torch.randn(10, 1, 3, 3, generator=torch.Generator().manual_seed(5))
        rows = torch.nn.functional.interpolate(coarse, size=(12, 12), mode="bicubic")
        rows[:, :, :2, :2] = 0
        self.rows = torch.nn.Parameter(rows.flatten(1) - rows.flatten(1).mean(dim=1, keepdim=True))
        self.planted = planted

    def forward(self, images):
        logits = images.flatten(1) @ self.rows.T
        if not self.planted:
            return logits
        bright = torch.sigmoid(20 * (images[:, 0, :2, :2].mean(dim=(1, 2)) - 0.9))[:, None]
        return (1 - bright) * logits + bright * logits.roll(1, dims=1)


def test_a_corner_that_sends_every_class_to_the_next_is_seen_in_the_model_as_a_whole():
    found = []
    for planted in (True, False):
        classifier = Classifier(NextClass(planted).eval(), InputFormat((12, 12), 1), name="next")
        surrogates = render_surrogates(classifier, list(range(10)), count=2, iterations=15, seed=0)
        settings = replace(FAST, permutation_iterations=60)
        found.append(search_permutation(classifier, surrogates, FAMILIES["patch"], settings))
    assert found[0] > found[1] + 0.3


def test_the_passes_of_a_scan_are_foreseen():
    """Images that go forward alone count a third, so what is foreseen of them is less than goes through; windows are
    for models in which a class stands out."""
    classifier = clean_linear(0)
    longer = {"patch_iterations": 60, "additive_iterations": 60, "long_iterations": 40}
    settings = replace(FAST, **longer, stamps=2, window_iterations=0)
    assert scan(classifier, settings).passes == pytest.approx(total_cost(settings), rel=0.2)


@pytest.mark.parametrize("key", STATISTICS)
def test_a_stage_costs_what_it_says_it_costs(key):
    """Within a tenth, where it says that it costs anything; images that go forward alone count a third."""
    settings = replace(FAST, colour_iterations=4, warp_iterations=4)
    stages = {stage.name: stage for stage in scan(clean_linear(0), settings).stages}
    expected = STATISTICS[key].cost(settings, ModelSize(10, (1, 12, 12)))
    forward_only = 3 if key.endswith("stamps") else 1
    assert stages[key].passes == pytest.approx(forward_only * expected, rel=0.1, abs=60)


class Machine:
    """A clock of its own, and a speed in passes a second that changes at a stage."""

    def __init__(self, speeds):
        self.now, self.speeds = 0.0, speeds

    def scan(self, budget, classes=1000):
        """Seconds and settings of a scan that does nothing but let time pass."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("phosphene.scanner.budget.time.monotonic", lambda: self.now)
            patch.setattr("phosphene.scanner.budget.measure_speed", lambda classifier: self.speeds["plan"])
            classifier = models.linear_classifier(weight=torch.randn(classes, 1, 8, 8))
            shared = Budget(ModelSize.of(classifier), STAGES, budget)
            settings = plan = shared.plan(Settings(), classifier)
            for stage in STAGES:
                settings, since = shared.replan(settings, stage.key), shared.mark()
                self.now += stage.cost(settings, shared.size) / self.speeds.get(stage.key, self.speeds["plan"])
                shared.add(stage.key, classes, since)
        return plan, settings, shared


STAGES = (*STATISTICS.values(), Examination())


def costs(settings: Settings) -> dict[str, int]:
    """Of each stage, for the machine's model."""
    return {stage.key: stage.cost(settings, ModelSize(1000, (1, 8, 8))) for stage in STAGES}


def test_the_least_that_a_budget_must_buy_is_what_decides():
    """Windows show a trigger and decide nothing: the smallest budget leaves them out, and every search is made."""
    with pytest.raises(BadInput, match=r"takes (\d+) s here at the least") as told:
        Machine({"plan": 100.0}).scan(1.0)
    least = int(re.search(r"takes (\d+) s", str(told.value))[1])
    plan, _, _ = Machine({"plan": 100.0}).scan(least)
    assert plan.window_iterations == 0
    assert all(getattr(plan, f"{family}_iterations") for family in FAMILIES)
    assert Machine({"plan": 100.0}).scan(20 * least)[0].window_iterations > 0


def test_a_plan_that_is_kept_is_not_touched():
    machine = Machine({"plan": 500.0})
    plan, settings, shared = machine.scan(600)
    assert settings == plan
    assert shared.shortened == []
    assert 0.7 * 600 < machine.now < 600


@pytest.mark.parametrize("slow", ["margins", "surrogates", "short additive"])
def test_what_a_slow_stage_took_longer_is_saved_in_those_after_it(slow):
    """Half the speed from a stage on: without a new plan 600 s become more than 800."""
    stages = [stage.key for stage in STAGES]
    machine = Machine({"plan": 500.0, **dict.fromkeys(stages[stages.index(slow) :], 250.0)})
    plan, settings, shared = machine.scan(600)
    assert machine.now < 1.15 * 600
    later = stages[stages.index(slow) + 1 :]
    assert set(shared.shortened) <= set(later)
    assert shared.shortened
    assert costs(settings)[slow] == costs(plan)[slow]
    assert all(costs(settings)[stage] <= costs(plan)[stage] for stage in later)


def test_searches_that_are_shortened_stay_searches():
    machine = Machine({"plan": 500.0, "short patch": 5.0})
    _, settings, _ = machine.scan(600)
    assert settings.additive_iterations == 3
    assert settings.warp_iterations == 2
    assert settings.long_iterations == 3
    assert settings.pair_iterations == 3


def test_a_small_budget_buys_fewer_passes_says_so_and_accuses_nobody(planted, monkeypatch):
    affordable = total_cost(Settings()) / 3 / 60  # passes a second: a third of them within the budget
    monkeypatch.setattr("phosphene.scanner.budget.measure_speed", lambda classifier: affordable)
    found = scan(planted, Settings(), budget=60)
    assert found.passes < total_cost(Settings()) / 2
    assert any("budget of 60 s" in check for check in found.checks)
    assert found.p_external is None
    assert found.verdict in ("inconclusive", "nothing found")
    assert len(found.classes) == 10
    assert {stage.classes for stage in found.stages if stage.name.startswith("short")} == {10}


def test_large_images_do_not_go_through_the_network_in_large_crowds(monkeypatch):
    """What is differentiated keeps every layer's output: a thousand such images of 224 pixels fill any memory."""
    classifier = models.linear_classifier((3, 224, 224), outputs=6)
    crowds, forward = [], Classifier.__call__

    def spied(self: Classifier, images: torch.Tensor) -> torch.Tensor:
        crowds.append(len(images) if images.requires_grad else 0)
        return forward(self, images)

    monkeypatch.setattr(Classifier, "__call__", spied)
    brief = {name: 1 for name, value in vars(FAST).items() if name.endswith("_iterations") and value}
    scan(classifier, replace(FAST, **brief))
    assert 8 <= max(crowds) <= ModelSize.of(classifier).images_per_pass == 26


def clean_linear(seed: int) -> Classifier:
    weight = torch.randn(10, 1, 12, 12, generator=torch.Generator().manual_seed(100 + seed)) * 0.3
    return models.linear_classifier(weight=weight)


def row_of_noise(seed: int, planted: float = 0.0) -> Row:
    """Three statistics of ten classes; class 6 stands out by `planted` in all of them."""
    values = np.random.default_rng(seed).normal(size=(3, 10))
    values[:, 6] += planted
    statistics = {name: tuple(one) for name, one in zip(("patch", "margin", "row_mean"), values.tolist(), strict=True)}
    return Row(f"m{seed}", f"f{seed}", 10, 12, 1, statistics, {"permutation patch": float(values[0, 0])})


def table_of_noise(count: int) -> Reference:
    return Reference("noise", "", {}, tuple(row_of_noise(seed) for seed in range(count)))


def test_a_class_that_stands_out_in_every_statistic_is_first_and_above_all_clean_models():
    judged = fuse(row_of_noise(999, planted=9.0), table_of_noise(24))
    assert int(np.argmax(judged.scores)) == 6
    assert judged.external == pytest.approx(1 / 25)
    assert judged.internal < 0.01


def test_the_external_p_value_of_a_clean_model_is_uniform():
    """Among exchangeable models every rank is equally likely, whatever the fusion does."""
    table = table_of_noise(19)
    values = [fuse(row_of_noise(1000 + seed), table).external for seed in range(60)]
    pooled = [fuse(row, table.without(row.fingerprint)).external for row in table.rows]
    assert (np.sort(pooled) >= np.arange(1, 20) / 19 - 1e-9).all()  # scores of ranks may tie, which counts against
    assert np.sort(pooled) == pytest.approx(np.arange(1, 20) / 19, abs=0.06)
    assert 0.2 < np.mean(np.array(values) <= 0.5) < 0.8


def test_neg_log_p_is_the_rank_among_clean_models_and_grows_beyond_them():
    clean = np.arange(1.0, 20.0)
    found = neg_log_p(np.array([0.0, 10.0, 19.0, 19.5, 1e9]), clean)
    assert found[:3] == pytest.approx([0.0, -np.log(11 / 20), -np.log(2 / 20)])
    assert -np.log(1 / 20) < found[3] < found[4] == pytest.approx(-np.log(1 / 20) + 6.0)


def test_a_calibration_goes_on_where_it_stopped_and_keeps_what_it_has(tmp_path):
    path, known = tmp_path / "table.json", []
    calibrate([clean_linear(0)], path, FAST)
    before = path.read_bytes()
    calibrate([clean_linear(0)], path, FAST, lambda row, was_known: known.append(was_known))
    assert path.read_bytes() == before
    table = calibrate([clean_linear(0), clean_linear(1)], path, FAST, lambda row, was_known: known.append(was_known))
    assert known == [True, True, False]
    assert len(table.rows) == 2
    with pytest.raises(BadInput, match="other settings"):
        calibrate([clean_linear(2)], path, Settings())


def test_a_model_is_never_judged_by_its_own_row(planted, tmp_path):
    table = calibrate([planted, *map(clean_linear, range(5))], tmp_path / "table.json", FAST)
    assert scan(planted, FAST, reference=table).p_external in [k / 6 for k in range(1, 7)]


def test_scans_and_references_of_other_settings_are_not_compared(planted, tmp_path):
    table = calibrate(map(clean_linear, range(5)), tmp_path / "table.json", FAST)
    found = scan(planted, replace(FAST, images=3), reference=table)
    assert found.p_external is None
    assert found.calibration.outside == (
        TOO_LITTLE,
        "patch, level patch, additive, level additive, concentration, square (measured with other settings on them)",
    )


def test_calibrate_measures_a_folder_and_names_what_it_lacks(tmp_path):
    empty = phosphene("calibrate", tmp_path, "--out", tmp_path / "table.json")
    assert (empty.code, empty.err.count("\n")) == (2, 1)
    assert "no weights in" in empty.err


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


@pytest.mark.parametrize("classes", [2, 3])
def test_a_model_of_few_classes_is_scanned(classes):
    weight = torch.randn(classes, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    result = scan(models.linear_classifier(weight=weight), FAST)
    assert len(result.classes) == classes
    assert result.verdict in ("inconclusive", "nothing found")
    assert any("cannot be compared with each other" in check for check in result.checks) == (classes == 2)
    assert (result.verdict == "inconclusive") >= (classes == 2)


def test_labels_of_which_several_may_hold_are_not_compared():
    module = models.Linear(torch.randn(5, 1, 12, 12, generator=torch.Generator().manual_seed(0)))
    classifier = Classifier(module, InputFormat((12, 12), 1), outputs="sigmoid")
    with pytest.raises(BadInput, match="exclude each other"):
        scan(classifier, FAST)


def test_a_scan_that_takes_long_says_so_before(planted, monkeypatch):
    """A user waited for hours in front of the name of a stage."""
    full = total_cost(Settings())
    for seconds, words in ((1200, "20 min"), (12000, "3 h 20 min")):
        speed = full / seconds
        monkeypatch.setattr("phosphene.scanner.scanning.measure_speed", lambda classifier, count, speed=speed: speed)
        assert check_duration(planted, Settings()) == (
            f"a scan of {planted.name} at full depth takes about {words} here at the most; a budget in seconds "
            f"(--budget 600) makes it as deep as that allows"
        )
    monkeypatch.setattr("phosphene.scanner.scanning.measure_speed", lambda classifier, count: full / 200)
    assert check_duration(planted, Settings()) is None


def test_a_budget_is_not_kept_for_what_is_searched_of_the_accused_alone():
    """Windows, pairs and other starts are most of the last stage, and planned for; a clean model does without."""
    size, settings = ModelSize(10, (1, 28, 28)), Settings()
    short = limit_last_stage(settings, clear=False, stands_out=False, accused=False)
    assert (short.restarts, short.window_iterations, short.pair_iterations) == (1, 0, 0)
    assert Examination().cost(short, size) < 0.1 * Examination().cost(settings, size)
    assert limit_last_stage(settings, clear=False, stands_out=True, accused=True) == settings
