"""Other people's detectors, built from formulas: known answers where a backdoor is planted, slow oracles for the rules."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from benchmarks.baselines import BASELINES, Opinion, StepsAside
from benchmarks.baselines.decisions import fitted_gamma, gamma_log_p, grubbs_log_p, mad_index, quartile_index
from benchmarks.baselines.free_eagle import FreeEagle, tendencies
from benchmarks.baselines.maximum_margin import MaximumMargin
from benchmarks.baselines.neural_cleanse import Cost, NeuralCleanse
from benchmarks.baselines.opinion import outlier
from benchmarks.baselines.parts import head, middle
from benchmarks.baselines.probing import Chance, HeadProbing
from benchmarks.baselines.weights import ChannelLipschitzness, FinalLayerNorm, TrojanSignatures
from benchmarks.rules import DISTRIBUTIONS, HEAVY, RULES, accused
from benchmarks.scoring.statistics import (
    advantage,
    area,
    area_interval,
    conformal,
    overlap,
    rate,
    sensitivity,
)
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats
from torch import Tensor, nn

import models
from phosphene.model.classifier import Classifier
from phosphene.model.input_format import InputFormat
from phosphene.scanner.margins import margin

SIDE, CLASSES, TARGET = 12, 8, 5
PATCH = (slice(8, 11), slice(7, 10))


class Planted(nn.Module):
    """One random template a class, all alike in strength; nine white pixels in a corner shout `TARGET` over them."""

    def __init__(self, strength: float) -> None:
        super().__init__()
        templates = 0.5 * torch.randn(CLASSES, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
        corner = torch.zeros(1, SIDE, SIDE)
        corner[(0, *PATCH)] = strength
        weight = torch.cat([templates - templates.mean(dim=(1, 2), keepdim=True), corner]).flatten(1)
        self.features, self.act = nn.Linear(SIDE * SIDE, CLASSES + 1), nn.ReLU()
        self.head = nn.Linear(CLASSES + 1, CLASSES)
        with torch.no_grad():
            self.features.weight.copy_(weight)
            self.features.bias.copy_(torch.tensor([1.0] * CLASSES + [-0.6 * strength * 9]))
            self.head.weight.copy_(torch.cat([torch.eye(CLASSES), torch.zeros(CLASSES, 1)], dim=1))
            self.head.weight[TARGET, -1] = 10
            self.head.bias.zero_()

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.act(self.features(images.flatten(1))))


def planted(strength: float = 3.0) -> Classifier:
    return Classifier(Planted(strength).eval(), InputFormat((SIDE, SIDE), 1), name="planted")


def noise(count: int = 64) -> Tensor:
    return torch.rand(count, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def samples(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).gamma(3.0, 2.0, size=(rows, columns))


# --- planted backdoors ---------------------------------------------------------------------------------------------


def test_neural_cleanse_names_the_planted_target_and_its_mask_lies_in_the_patch() -> None:
    opinion = NeuralCleanse(steps=300, batch=16, rate=0.2)(planted(), noise())
    assert opinion.target == TARGET
    assert opinion.mask is not None
    assert opinion.mask[PATCH].sum() > 0.85 * opinion.mask.sum()
    assert opinion.alarm
    assert opinion.score > 2


def test_neural_cleanse_finds_masks_that_work() -> None:
    """Each mask must send fresh images to its class with some pattern; the planted one with a white pattern."""
    classifier, method = planted(), NeuralCleanse(steps=300, batch=16, rate=0.2)
    mask = method.masks(classifier, noise())[TARGET]
    fresh = torch.rand(200, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(7))
    stamped = fresh + mask * (1 - fresh)
    assert (classifier(stamped).argmax(dim=1) == TARGET).float().mean() > 0.85


def test_margins_grow_with_the_planted_backdoor_and_name_it() -> None:
    method = MaximumMargin(starts=4, steps=60)
    weak, strong = method.margins(planted(0.001)), method.margins(planted(6.0))
    assert int(np.argmax(strong)) == TARGET
    assert strong[TARGET] > weak[TARGET] + 50
    assert method(planted(6.0), noise()).alarm


def test_margin_of_a_linear_model_reaches_its_optimum() -> None:
    """Two classes: the best image is white where the difference of rows is positive, so the margin is known."""
    weight = torch.randn(2, 1, 5, 5, generator=torch.Generator().manual_seed(3))
    found = MaximumMargin(starts=2, steps=80)(models.linear_classifier(weight=weight), torch.zeros(1))
    difference = (weight[0] - weight[1]).flatten()
    assert found.classes == pytest.approx(
        (float(difference.clamp(min=0).sum()), float((-difference).clamp(min=0).sum())), rel=1e-4
    )


def test_margin_leaves_the_own_class_out() -> None:
    logits = torch.tensor([[3.0, 1.0, 2.0], [0.0, 5.0, 4.0]])
    assert margin(logits, torch.tensor([0, 2])).tolist() == [1.0, -1.0]


def test_free_eagle_cuts_where_nothing_bypasses_and_its_tendency_sees_the_planted_shortcut() -> None:
    """The tail alone decides: features in, logits out. A shortcut to one class raises the tendency of that class."""
    classifier = planted()
    cut = middle(classifier)
    h = torch.rand(6, *cut.shape)
    by_hand = classifier.module.head(h if cut.name == "act" else h.relu())  # type: ignore[operator]
    torch.testing.assert_close(cut.tail(h), by_hand if cut.name != "head" else h)
    opinion = FreeEagle(steps=150)(classifier, noise())
    assert opinion.target == TARGET


def test_tendency_is_the_mean_of_the_column_without_the_diagonal() -> None:
    table = torch.tensor([[0.8, 0.1, 0.1], [0.3, 0.6, 0.1], [0.1, 0.4, 0.5]])
    torch.testing.assert_close(tendencies(table), torch.tensor([0.2, 0.25, 0.1]))


def test_channel_lipschitzness_sees_one_loud_channel_and_equals_a_slow_singular_value() -> None:
    classifier = models.grey_classifier()
    quiet = ChannelLipschitzness()(classifier, noise())
    (first, *_), network = ChannelLipschitzness().bounds(classifier), classifier.module
    kernel = network.stem.weight.detach()[2].reshape(1, -1)  # type: ignore[union-attr, operator]
    norm = network.stem_norm
    slow = (
        np.linalg.svd(kernel.numpy())[1][0]
        * abs(float(norm.weight[2].detach()))
        / math.sqrt(float(norm.running_var[2]) + norm.eps)
    )  # type: ignore[index, arg-type, operator]
    assert float(first[2]) == pytest.approx(slow, rel=1e-4)
    with torch.no_grad():
        norm.weight[2] *= 40  # type: ignore[index, operator]
    loud = ChannelLipschitzness()(classifier, noise())
    assert loud.score > quiet.score
    assert loud.score == pytest.approx(7 / math.sqrt(8), rel=0.05)  # the largest z-score that 8 channels can have
    assert loud.target is None


def test_the_final_layer_alone_gives_away_a_shifted_and_a_long_row() -> None:
    classifier = planted()
    with torch.no_grad():
        classifier.module.head.weight[2] += 2  # type: ignore[union-attr, operator, index]
    assert TrojanSignatures()(classifier, noise()).target == 2
    with torch.no_grad():
        classifier.module.head.weight[6] *= 30  # type: ignore[union-attr, operator, index]
    assert FinalLayerNorm()(classifier, noise()).target == 6


@pytest.mark.parametrize("statistic", ["wins", "logit"])
def test_head_probing_names_the_class_whose_row_wins(statistic: str) -> None:
    classifier = planted()
    with torch.no_grad():
        classifier.module.head.weight[3] += 3  # type: ignore[union-attr, operator, index]
    opinion = HeadProbing(statistic, draws=2000)(classifier, noise())
    assert opinion.target == 3
    if statistic == "wins":
        assert sum(opinion.classes) == pytest.approx(1)


# --- where a method does not apply ---------------------------------------------------------------------------------


class Convolved(nn.Module):
    """No linear layer at all: the logits are pooled channels."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.last = nn.Conv2d(1, 4, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.last(images).mean(dim=(2, 3))


@pytest.mark.parametrize("name", ["Trojan Signatures", "final-layer norm", "head probing, wins", "CLP z-score"])
def test_a_method_steps_aside_where_the_model_lacks_what_it_looks_at(name: str) -> None:
    classifier = Classifier(Convolved().eval(), InputFormat((8, 8), 1))
    with pytest.raises(StepsAside, match="no "):
        BASELINES[name](classifier, noise())


def test_a_linear_layer_that_is_not_last_is_no_head() -> None:
    scaled = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 4), nn.Softplus())
    with pytest.raises(StepsAside):
        head(Classifier(scaled.eval(), InputFormat((SIDE, SIDE), 1)))


def test_chance_depends_on_the_weights_alone_and_ranks_them_at_random() -> None:
    assert Chance()(planted(), noise()) == Chance()(planted(), noise(3))
    made = [Chance()(models.linear_classifier(seed=seed), noise()).score for seed in range(60)]
    assert 0.35 < area(made[:30], made[30:]) < 0.65


@pytest.mark.parametrize("name", [name for name in BASELINES if name not in ("FreeEagle",) and "unlimited" not in name])
def test_every_baseline_answers_the_same_twice_and_leaves_the_model_as_it_was(name: str) -> None:
    classifier, small = models.grey_classifier(), {"MM-BD": MaximumMargin(2, 5), "Neural Cleanse": NeuralCleanse(5, 4)}
    method = small.get(name, BASELINES[name])
    images = torch.rand(20, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    before = {key: value.clone() for key, value in classifier.module.state_dict().items()}
    first, second = method(classifier, images), method(classifier, images)
    assert (first.score, first.classes) == (second.score, second.classes)
    assert isinstance(first, Opinion)
    assert math.isfinite(first.score)
    assert all(torch.equal(before[key], value) for key, value in classifier.module.state_dict().items())


# --- rules against slow oracles ------------------------------------------------------------------------------------


def test_mad_index_by_hand() -> None:
    norms = np.array([10.0, 12.0, 11.0, 13.0, 2.0])
    assert mad_index(norms) == pytest.approx((11 - 2) / (1.4826 * 1.0))


def test_quartile_index_by_hand() -> None:
    assert quartile_index(np.array([1.0, 2.0, 3.0, 4.0, 9.0])) == pytest.approx((9 - 4) / (4 - 2))


@pytest.mark.parametrize("seed", range(4))
def test_gamma_fit_is_the_most_likely_one(seed: int) -> None:
    values = samples(1, 9, seed)[0]
    shape, scale = fitted_gamma(values)
    expected_shape, _, expected_scale = stats.gamma.fit(values, floc=0)
    assert shape == pytest.approx(expected_shape, rel=1e-3)
    assert scale == pytest.approx(expected_scale, rel=1e-3)
    slow = optimize.minimize(
        lambda p: -stats.gamma.logpdf(values, *np.exp(p[:1]), scale=np.exp(p[1])).sum(), [0, 0], method="Nelder-Mead"
    )
    assert stats.gamma.logpdf(values, shape, scale=scale).sum() >= -slow.fun - 1e-6


@pytest.mark.parametrize("largest", [12.0, 30.0, 80.0, 1e5])
def test_gamma_p_value_is_the_chance_of_the_largest_of_the_others(largest: float) -> None:
    values = np.append(samples(1, 9)[0].clip(max=11), largest)
    shape, _, scale = stats.gamma.fit(values[:-1], floc=0)
    got = float(gamma_log_p(values))
    if largest < 50:
        assert math.exp(got) == pytest.approx(1 - stats.gamma.cdf(largest, shape, scale=scale) ** 9, rel=0.01)
    elif largest < 100:
        assert got == pytest.approx(math.log(9) + stats.gamma.logsf(largest, shape, scale=scale), rel=0.05)
    else:  # too small for floating point, and yet it must not tie with other such models
        assert gamma_log_p(np.append(values[:-1], 2 * largest)) < got < -1000


def test_gamma_rule_takes_negative_margins() -> None:
    assert np.isfinite(gamma_log_p(np.array([-1.0, 2.0, 3.0, 2.5, 4.0])))


@pytest.mark.parametrize("count", [5, 10, 43])
def test_grubbs_is_the_textbooks(count: int) -> None:
    """The critical value of the textbook, put back in, gives the level it was made for."""
    t = stats.t.isf(0.05 / count, count - 2)
    critical = (count - 1) / math.sqrt(count) * math.sqrt(t**2 / (count - 2 + t**2))

    def values_with(statistic: float) -> np.ndarray:
        def gap(last: float) -> float:
            values = np.append(np.linspace(-1, 1, count - 1), last)
            return float((values.max() - values.mean()) / values.std(ddof=1)) - statistic

        return np.append(np.linspace(-1, 1, count - 1), optimize.brentq(gap, 1, 1e4))

    assert math.exp(grubbs_log_p(values_with(critical))) == pytest.approx(0.05, rel=1e-3)


def test_rules_on_many_models_are_the_rules_on_each() -> None:
    table = samples(7, 10)
    for rule in (mad_index, quartile_index, gamma_log_p, grubbs_log_p):
        np.testing.assert_allclose(rule(table), [rule(row) for row in table], rtol=1e-9)


def test_grubbs_holds_its_level_on_lognormal_classes_and_loses_it_on_heavy_tails() -> None:
    rule = RULES["one-sided Grubbs on logarithms, p ≤ .05"]
    assert accused(rule, DISTRIBUTIONS["lognormal"], 10, 4000, 0) == pytest.approx(0.05, abs=0.012)
    assert accused(rule, HEAVY, 10, 4000, 0) > 0.09


def test_an_outlier_is_scored_above_a_crowd() -> None:
    assert outlier([0.0, 0.1, 0.2, 0.1, 3.0]).score > outlier([0.0, 0.1, 0.2, 0.1, 0.3]).score


def test_the_cost_rises_after_success_and_falls_faster_after_failure() -> None:
    cost = Cost.of(1)
    for _ in range(15):
        cost.follow(torch.tensor([True]))
    assert cost.value.item() == pytest.approx(1e-3 * 1.5**2)
    for _ in range(5):
        cost.follow(torch.tensor([False]))
    assert cost.value.item() == pytest.approx(1e-3 * 1.5**0.5)


# --- areas, intervals, rates ---------------------------------------------------------------------------------------

scores = st.lists(st.integers(-5, 5).map(float), min_size=2, max_size=12)


@given(scores, scores)
def test_area_counts_pairs(clean: list[float], poisoned: list[float]) -> None:
    brute = sum((p > c) + 0.5 * (p == c) for p in poisoned for c in clean) / (len(clean) * len(poisoned))
    assert area(clean, poisoned) == pytest.approx(brute)
    assert area(clean, poisoned) == pytest.approx(1 - area(poisoned, clean))


def test_a_constant_score_has_area_one_half_and_no_width() -> None:
    estimate = area_interval([1.0] * 9, [1.0] * 7)
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((0.5, 0.5, 0.5))


def test_bootstrap_of_the_area_is_the_slow_one() -> None:
    random = np.random.default_rng(0)
    clean, poisoned = random.normal(size=20), random.normal(0.8, size=25)
    slow = [area(random.choice(clean, 20), random.choice(poisoned, 25)) for _ in range(2000)]
    fast = area_interval(clean.tolist(), poisoned.tolist())
    assert fast.low == pytest.approx(np.quantile(slow, 0.025), abs=0.02)
    assert fast.high == pytest.approx(np.quantile(slow, 0.975), abs=0.02)


def test_the_paired_interval_is_narrower_than_an_unpaired_one_for_scores_that_agree() -> None:
    random = np.random.default_rng(0)
    clean, poisoned = random.normal(size=30), random.normal(1, size=30)
    slightly = (clean + 0.05 * random.normal(size=30), poisoned + 0.05 * random.normal(size=30))
    difference = advantage((clean, poisoned), slightly)  # type: ignore[arg-type]
    alone = area_interval(clean, poisoned)  # type: ignore[arg-type]
    assert difference.high - difference.low < 0.3 * (alone.high - alone.low)
    assert advantage((clean, poisoned), (clean, poisoned)).value == 0  # type: ignore[arg-type]


@pytest.mark.parametrize(("hits", "count"), [(0, 40), (2, 40), (40, 40), (7, 9)])
def test_rates_have_the_exact_interval(hits: int, count: int) -> None:
    expected = stats.binomtest(hits, count).proportion_ci(method="exact")
    got = rate(hits, count)
    assert (got.value, got.low, got.high) == pytest.approx((hits / count, expected.low, expected.high))


def test_sensitivity_tolerates_one_clean_model_in_twenty() -> None:
    clean = [*range(19), 100.0]
    assert sensitivity(clean, [50.0, 18.5, 18.0, 200.0]) == 0.75
    assert sensitivity(clean[:19], [50.0, 18.5, 18.0, 17.0]) == 0.5  # of 19 none may be accused


@given(st.lists(st.floats(-9, 9), min_size=1, max_size=30), st.floats(-9, 9))
def test_conformal_p_is_a_rank(references: list[float], score: float) -> None:
    p = conformal(score, references)
    assert 1 / (len(references) + 1) <= p <= 1
    assert conformal(score + 1, references) <= p


def test_overlap_of_masks() -> None:
    true, found = np.zeros((6, 6)), np.zeros((6, 6))
    true[:2, :2], found[:2, :3] = 1, 0.8
    assert overlap(found, true) == pytest.approx(4 / 6)
    assert overlap(np.zeros((6, 6)), true) == 0
