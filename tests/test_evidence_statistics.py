"""Intervals, separation, similarity and the averages of a run: against other implementations and known answers."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import binomtest, mannwhitneyu
from scipy.stats import t as student

from models import colour_classifier, linear_classifier
from phosphene.errors import MeaninglessScore
from phosphene.evidence import summary
from phosphene.evidence.similarity import Looks, different_pairs, features, looks, spectrum
from phosphene.evidence.soundness import matched, mean, rate, separation, sound
from phosphene.recipe.distributions import Pink

NOTHING: list[float] = []


@pytest.mark.parametrize(("hits", "count"), [(0, 8), (8, 8), (5, 8), (95, 100), (1, 1)])
def test_a_rate_has_scipys_wilson_interval(hits, count):
    estimate = rate("rate", [1.0] * hits + [0.0] * (count - hits))
    bounds = binomtest(hits, count).proportion_ci(0.95, method="wilson")
    assert estimate["value"] == pytest.approx(hits / count, abs=1e-4)
    assert (estimate["low"], estimate["high"]) == pytest.approx((bounds.low, bounds.high), abs=1e-4)
    assert estimate["count"] == count


def test_a_mean_has_scipys_student_interval():
    numbers = [-0.3, -1.2, -0.7, -0.1]
    estimate = mean("mean", numbers)
    values = torch.tensor(numbers).double()
    low, high = student.interval(0.95, 3, loc=values.mean().item(), scale=values.std().item() / 2)
    assert (estimate["low"], estimate["value"], estimate["high"]) == pytest.approx((low, -0.575, high), abs=1e-4)
    assert mean("mean", [2.0]) == {"value": 2.0, "low": None, "high": None, "count": 1}


def test_the_separation_is_the_mann_whitney_statistic():
    generator = torch.Generator().manual_seed(0)
    same, different = torch.randn(20, generator=generator) + 0.7, torch.randn(30, generator=generator)
    same[0] = different[0]
    expected = mannwhitneyu(same.numpy(), different.numpy()).statistic / 600
    assert separation("auc", same, different) == pytest.approx(expected)
    assert separation("auc", [2.0, 3.0], [0.0, 1.0]) == 1.0
    assert separation("auc", [0.0, 1.0], [0.0, 1.0]) == 0.5


@pytest.mark.parametrize("score", [rate, mean, sound])
@pytest.mark.parametrize("values", [NOTHING, [0.5, float("nan")], [float("inf")]])
def test_nothing_and_nan_are_no_scores(score, values):
    with pytest.raises(MeaninglessScore) as refused:
        score("the score", values)
    assert str(refused.value).startswith("the score")
    assert "expected" in str(refused.value)


def test_what_ought_to_vary_and_does_not_is_no_score():
    with pytest.raises(MeaninglessScore, match="throughout"):
        sound("score", [0.5, 0.5], varying=True)
    with pytest.raises(MeaninglessScore):
        separation("auc", [1.0, 1.0], [1.0])
    with pytest.raises(MeaninglessScore):
        separation("auc", [1.0], NOTHING)


def test_moving_a_texture_does_not_change_its_spectrum_and_another_texture_has_another():
    stripes = torch.zeros(1, 3, 32, 32)
    stripes[..., ::4] = 1.0
    moved, turned = stripes.roll(2, dims=3), stripes.transpose(2, 3)
    seen = looks(torch.cat([stripes, moved, turned]), [linear_classifier((3, 32, 32))])
    alike = seen.to(seen)["spectrum"]
    assert alike[0, 1] > 0.999
    assert alike[0, 2] < 0.5


def test_similarity_is_symmetric_and_one_to_oneself():
    pictures = Pink().draw(torch.Generator().manual_seed(0), 4, (3, 32, 32))
    seen = looks(pictures, [colour_classifier(), linear_classifier((3, 16, 16))])
    for alike in seen.to(seen).values():
        torch.testing.assert_close(alike, alike.T)
        torch.testing.assert_close(alike.diagonal(), torch.ones(4))
    halves = Looks.joined([looks(pictures[:2], [colour_classifier()]), looks(pictures[2:], [colour_classifier()])])
    torch.testing.assert_close(halves.rows["features"], looks(pictures, [colour_classifier()]).rows["features"])


def test_features_are_what_the_last_layer_is_fed():
    classifier, pictures = colour_classifier(), Pink().draw(torch.Generator().manual_seed(0), 3, (3, 32, 32))
    seen = features(classifier, pictures)
    torch.testing.assert_close(classifier.module.head(seen), classifier(pictures))
    assert not classifier.module.head._forward_pre_hooks
    linear = linear_classifier((3, 32, 32))
    torch.testing.assert_close(features(linear, pictures), linear(pictures).detach())


def test_an_empty_picture_has_no_similarity():
    with pytest.raises(MeaninglessScore, match="similarity of spectrum"):
        looks(torch.full((1, 3, 32, 32), 0.5), [colour_classifier()])
    assert (spectrum(torch.full((1, 3, 32, 32), 0.5)) < 1e-4).all()


def test_entanglement_is_the_rise_over_that_by_ones_own_map():
    raised = torch.tensor([[10.0, 1.0], [5.0, 4.0]])
    torch.testing.assert_close(summary.entangled(raised), torch.tensor([[1.0, 0.25], [0.5, 1.0]]))
    found = [{"raised": {"a": 10.0, "b": 1.0}}, {"raised": {"a": 5.0, "b": 4.0}}]
    whole = summary.entanglement(found, company("a", "b"))
    assert whole["pairs"] == [
        {"map_of": "b", "raises": "a", "share": 0.5},
        {"map_of": "a", "raises": "b", "share": 0.25},
    ]
    assert whole["matrix"] == [[1.0, 0.25], [0.5, 1.0]]
    with pytest.raises(MeaninglessScore):
        summary.entangled(torch.tensor([[0.0, 1.0], [1.0, 1.0]]))


def company(*names: str, between: torch.Tensor | None = None) -> summary.Company:
    apart = torch.tensor([0.1, 0.2]) if between is None else between
    return summary.Company(names, {"features": apart, "spectrum": apart})


def test_seeds_alike_and_classes_apart_are_separated():
    found = [{"seeds": 1, "same": {"features": [0.9], "spectrum": [0.15]}}]
    whole = summary.stability(found, company("a"))
    assert whole["features"]["separation"] == 1.0
    assert whole["spectrum"]["separation"] == 0.5
    assert whole["seeds"] == 2


def test_a_map_that_forgets_with_its_model_is_not_separated():
    found = [{"stages": {"head": {"features": 0.9, "spectrum": 0.9}, "untrained": {"features": 0.15, "spectrum": 0.0}}}]
    stages = summary.sanity(found, company("a"))["stages"]
    assert stages["head"]["features"]["separation"] == 1.0
    assert stages["untrained"]["features"]["separation"] == 0.5
    assert stages["untrained"]["spectrum"]["separation"] == 0.0


def test_partners_are_told_apart_or_are_not():
    alike = torch.full((6, 6), 0.2) + 0.5 * torch.eye(6)
    assert matched("alike", alike) == {"separation": 1.0, "chance": pytest.approx(1 / 720, abs=1e-3)}
    backwards = matched("alike", 0.9 - alike)
    assert backwards == {"separation": 0.0, "chance": 1.0}
    assert matched("alone", torch.ones(1, 1)) is None
    with pytest.raises(MeaninglessScore, match="throughout"):
        matched("constant", torch.ones(4, 4))


def test_the_chance_of_partners_is_a_p_value():
    """Of matrices without partners, one in five is as unlikely as one in five."""
    generator = torch.Generator().manual_seed(0)
    chances = torch.tensor([matched("noise", torch.rand(5, 5, generator=generator))["chance"] for _ in range(200)])
    assert (chances <= 0.2).float().mean() == pytest.approx(0.2, abs=0.08)
    assert chances.mean() == pytest.approx(0.5, abs=0.08)


def test_a_class_that_survives_forgetting_is_told_by_its_own_map():
    def entry(*row):
        return {"stages": {"untrained": {"features": 0.5, "spectrum": 0.5}},
                "beside": {"untrained": {"features": row, "spectrum": row}}}  # fmt: skip

    found = [entry(0.9, 0.1, 0.1), entry(0.1, 0.9, 0.1), entry(0.1, 0.1, 0.9)]
    assert summary.sanity(found, company("a"))["stages"]["untrained"]["features"]["own_class"]["separation"] == 1.0
    incomplete = summary.sanity(found[:2], company("a"))["stages"]["untrained"]
    assert incomplete["features"]["own_class"] is None


def test_without_other_classes_there_is_no_separation():
    found = [{"seeds": 1, "same": {"features": [0.9], "spectrum": [0.15]}}]
    assert summary.stability(found, company("a", between=torch.zeros(0)))["features"]["separation"] is None


def test_a_control_that_only_some_maps_have_is_left_out():
    found = [{"rates": {"flat": {"map": 1.0, "other": 0.0}}}, {"rates": {"flat": {"map": 0.5}}}]
    rates = summary.agnosticity(found, company("a", "b"))["rates"]
    assert set(rates["flat"]) == {"map"}
    assert rates["flat"]["map"]["value"] == 0.75


def test_each_pair_of_different_maps_counts_once():
    matrix = torch.tensor([[1.0, 2.0, 3.0], [2.0, 1.0, 4.0], [3.0, 4.0, 1.0]])
    assert different_pairs(matrix).tolist() == [2.0, 3.0, 4.0]


def test_an_interval_does_not_leave_what_is_possible():
    assert mean("share", [0.0, 1.0], (0.0, 1.0)) == {"value": 0.5, "low": 0.0, "high": 1.0, "count": 2}
