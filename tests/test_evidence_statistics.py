"""Intervals, separation, similarity and the averages of a run: against other implementations and known answers."""

from __future__ import annotations

import pytest
import torch

from models import colour_classifier, linear_classifier
from phosphene.core.intervals import wilson
from phosphene.errors import MeaninglessScore
from phosphene.evidence.estimates import (
    SHARE,
    Estimate,
    PartnerTest,
    check_finite,
    compare_partners,
    estimate_mean,
    estimate_rate,
    separation,
)
from phosphene.evidence.measure import RunInfo
from phosphene.evidence.measures.agnosticity import Agnosticity, AgnosticityScore
from phosphene.evidence.measures.entanglement import (
    EntangledPair,
    Entanglement,
    EntanglementScore,
    divide_by_own_rise,
)
from phosphene.evidence.measures.sanity import Sanity, SanityScore
from phosphene.evidence.measures.stability import Stability, StabilityScore
from phosphene.evidence.similarity import Embeddings, different_pairs, embed, penultimate_features, pooled_spectrum
from phosphene.recipe.distributions import Pink

NOTHING: list[float] = []


def test_a_rate_counts_every_map_once_however_many_draws_it_had():
    """Three of four maps, or every map on three of four draws: the interval is that of four observations."""
    low, high = wilson(0.75, 4)
    expected = Estimate(0.75, round(low, 4), round(high, 4), 4)
    assert estimate_rate("rate", [1.0, 1.0, 1.0, 0.0]) == estimate_rate("rate", [0.75] * 4) == expected


def test_a_mean_of_one_map_has_no_interval():
    assert estimate_mean("mean", [2.0]) == Estimate(2.0, None, None, 1)


def test_an_interval_does_not_leave_what_is_possible():
    assert estimate_mean("share", [0.0, 1.0], SHARE) == Estimate(0.5, 0.0, 1.0, 2)


@pytest.mark.parametrize("score", [estimate_rate, estimate_mean, check_finite])
@pytest.mark.parametrize("values", [NOTHING, [0.5, float("nan")], [float("inf")]])
def test_nothing_and_nan_are_no_scores(score, values):
    with pytest.raises(MeaninglessScore) as refused:
        score("the score", values)
    assert str(refused.value).startswith("the score")
    assert "expected" in str(refused.value)


def test_what_ought_to_vary_and_does_not_is_no_score():
    with pytest.raises(MeaninglessScore, match="throughout"):
        check_finite("score", [0.5, 0.5], varying=True)
    with pytest.raises(MeaninglessScore):
        separation("auc", [1.0, 1.0], [1.0])
    with pytest.raises(MeaninglessScore):
        separation("auc", [1.0], NOTHING)


def test_moving_a_texture_does_not_change_its_spectrum_and_another_texture_has_another():
    stripes = torch.zeros(1, 3, 32, 32)
    stripes[..., ::4] = 1.0
    moved, turned = stripes.roll(2, dims=3), stripes.transpose(2, 3)
    seen = embed(torch.cat([stripes, moved, turned]), [linear_classifier((3, 32, 32))])
    alike = seen.compare(seen)["spectrum"]
    assert alike[0, 1] > 0.999
    assert alike[0, 2] < 0.5


def test_similarity_is_symmetric_and_one_to_oneself():
    pictures = Pink().draw(torch.Generator().manual_seed(0), 4, (3, 32, 32))
    seen = embed(pictures, [colour_classifier(), linear_classifier((3, 16, 16))])
    for alike in seen.compare(seen).values():
        torch.testing.assert_close(alike, alike.T)
        torch.testing.assert_close(alike.diagonal(), torch.ones(4))
    halves = Embeddings.concatenate(
        [embed(pictures[:2], [colour_classifier()]), embed(pictures[2:], [colour_classifier()])]
    )
    torch.testing.assert_close(halves.rows["features"], embed(pictures, [colour_classifier()]).rows["features"])


def test_features_are_what_the_last_layer_is_fed():
    classifier, pictures = colour_classifier(), Pink().draw(torch.Generator().manual_seed(0), 3, (3, 32, 32))
    seen = penultimate_features(classifier, pictures)
    torch.testing.assert_close(classifier.module.head(seen), classifier(pictures))
    assert not classifier.module.head._forward_pre_hooks
    linear = linear_classifier((3, 32, 32))
    torch.testing.assert_close(penultimate_features(linear, pictures), linear(pictures).detach())


def test_an_empty_picture_has_no_similarity():
    with pytest.raises(MeaninglessScore, match="similarity of spectrum"):
        embed(torch.full((1, 3, 32, 32), 0.5), [colour_classifier()])
    assert (pooled_spectrum(torch.full((1, 3, 32, 32), 0.5)) < 1e-4).all()


def run_of(*names: str, between: torch.Tensor | None = None) -> RunInfo:
    values = torch.tensor([0.1, 0.2]) if between is None else between
    return RunInfo(names, {"features": values, "spectrum": values})


def test_entanglement_is_the_rise_over_that_by_ones_own_map():
    raised = torch.tensor([[10.0, 1.0], [5.0, 4.0]])
    torch.testing.assert_close(divide_by_own_rise(raised), torch.tensor([[1.0, 0.25], [0.5, 1.0]]))
    scores = [EntanglementScore({"a": 10.0, "b": 1.0}), EntanglementScore({"a": 5.0, "b": 4.0})]
    summary = Entanglement().summarize(scores, run_of("a", "b"))
    assert summary.pairs == (EntangledPair("b", "a", 0.5), EntangledPair("a", "b", 0.25))
    assert summary.matrix == ((1.0, 0.25), (0.5, 1.0))


def test_a_run_in_which_no_map_raises_its_own_concept_is_summarised_and_says_so():
    scores = [EntanglementScore({"a": 0.0, "b": 1.0}), EntanglementScore({"a": 1.0, "b": -1.0})]
    summary = Entanglement().summarize(scores, run_of("a", "b"))
    assert (summary.unraised, summary.pairs, summary.matrix) == (("a", "b"), (), ())
    assert len(Entanglement().table(summary).rows) == 2
    assert Entanglement().figure(summary) is None


def test_a_matrix_of_many_concepts_is_not_drawn():
    for count, drawn in ((16, True), (17, False)):
        names = [str(k) for k in range(count)]
        scores = [EntanglementScore(dict.fromkeys(names, 1.0)) for _ in names]
        summary = Entanglement().summarize(scores, run_of(*names))
        assert (Entanglement().figure(summary) is not None) == drawn


def test_seeds_alike_and_classes_apart_are_separated():
    scores = [StabilityScore(1, {"features": (0.9,), "spectrum": (0.15,)})]
    summary = Stability().summarize(scores, run_of("a"))
    assert summary.features.separation == 1.0
    assert summary.spectrum.separation == 0.5
    assert summary.seeds == 2


def sanity_score(beside: tuple[float, ...] = (), **stages: float) -> SanityScore:
    """By each stage the same similarity of both kinds."""
    return SanityScore(
        made_in="",
        stages={stage: {"features": value, "spectrum": value} for stage, value in stages.items()},
        beside={stage: {"features": beside, "spectrum": beside} for stage in stages} if beside else {},
    )


def test_a_map_that_changes_with_its_model_is_not_separated():
    stages = Sanity().summarize([sanity_score(head=0.9, untrained=0.15)], run_of("a")).stages
    assert stages["head"]["features"].separation == 1.0
    assert stages["untrained"]["features"].separation == 0.5
    below = Sanity().summarize([sanity_score(untrained=0.0)], run_of("a")).stages
    assert below["untrained"]["spectrum"].separation == 0.0


def test_partners_are_told_apart_or_are_not():
    alike = torch.full((6, 6), 0.2) + 0.5 * torch.eye(6)
    assert compare_partners("alike", alike) == PartnerTest(1.0, pytest.approx(1 / 720, abs=1e-3))
    assert compare_partners("alike", 0.9 - alike) == PartnerTest(0.0, 1.0)
    assert compare_partners("alone", torch.ones(1, 1)) is None
    with pytest.raises(MeaninglessScore, match="throughout"):
        compare_partners("constant", torch.ones(4, 4))


def test_the_chance_of_partners_is_a_p_value():
    """Of matrices without partners, one in five is as unlikely as one in five."""
    generator = torch.Generator().manual_seed(0)
    tests = [compare_partners("noise", torch.rand(5, 5, generator=generator)) for _ in range(200)]
    chances = torch.tensor([test.chance for test in tests if test])
    assert (chances <= 0.2).float().mean() == pytest.approx(0.2, abs=0.08)
    assert chances.mean() == pytest.approx(0.5, abs=0.08)


def test_a_class_that_survives_randomization_is_told_by_its_own_map():
    rows = [(0.9, 0.1, 0.1), (0.1, 0.9, 0.1), (0.1, 0.1, 0.9)]
    scores = [sanity_score(row, untrained=0.5) for row in rows]
    whole = Sanity().summarize(scores, run_of("a")).stages["untrained"]["features"]
    assert whole.own_class is not None
    assert whole.own_class.separation == 1.0
    incomplete = Sanity().summarize(scores[:2], run_of("a")).stages["untrained"]["features"]
    assert incomplete.own_class is None


def test_without_other_classes_there_is_no_separation():
    scores = [StabilityScore(1, {"features": (0.9,), "spectrum": (0.15,)})]
    assert Stability().summarize(scores, run_of("a", between=torch.zeros(0))).features.separation is None


def test_a_control_that_only_some_maps_have_is_left_out():
    rates = [{"flat": {"map": 1.0, "other": 0.0}}, {"flat": {"map": 0.5}}]
    summary = Agnosticity().summarize([AgnosticityScore(None, one) for one in rates], run_of("a", "b"))
    assert set(summary.rates["flat"]) == {"map"}
    assert summary.rates["flat"]["map"].value == 0.75


def test_each_pair_of_different_maps_counts_once():
    matrix = torch.tensor([[1.0, 2.0, 3.0], [2.0, 1.0, 4.0], [3.0, 4.0, 1.0]])
    assert different_pairs(matrix).tolist() == [2.0, 3.0, 4.0]
