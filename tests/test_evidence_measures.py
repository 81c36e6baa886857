"""The scores of single maps on models whose answers are known: linear ones, and ones with a planted pattern."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from models import cosine, linear_classifier
from phosphene.core.photographs import PHOTOGRAPHS, load_photograph
from phosphene.errors import BadInput, MeaninglessScore
from phosphene.evidence.case import Case
from phosphene.evidence.measure import RunInfo
from phosphene.evidence.measures.agnosticity import NOISE, Agnosticity
from phosphene.evidence.measures.classes import OtherClasses, SimilarityToOthers
from phosphene.evidence.measures.complexity import Complexity, ComplexityScore, effective_area, gini
from phosphene.evidence.measures.entanglement import Entanglement
from phosphene.evidence.measures.gain import Gain
from phosphene.evidence.measures.recognition import Recognition
from phosphene.evidence.measures.refinement import Refinement
from phosphene.evidence.measures.registry import MEASURES
from phosphene.evidence.members import concept_of
from phosphene.evidence.photographs import Photographs, find_photographs
from phosphene.evidence.stamping import make_stamp, scramble_phases
from phosphene.method.fidelity import Fidelity
from phosphene.method.scaling import render_pictures
from phosphene.model.classifier import Classifier
from phosphene.model.record import ModelRecord
from phosphene.recipe.concepts import Classes
from phosphene.recipe.distributions import Grey
from phosphene.recipe.recipe import Recipe
from phosphene.recipe.views import STILL
from phosphene.runs.saliency import SaliencyMap
from phosphene.runs.scores import MaskScore, Scores

SIDE, STRENGTH = 24, 20.0
CERTAIN = Fidelity(1.0, 1.0)
NOT_MEASURED = Scores(CERTAIN, {}, CERTAIN, MaskScore(None, 1.0), (), (), 1.0)
STEADY = Recipe(views=STILL, composition="clip", distribution=Grey(0.01))


@pytest.fixture(scope="module")
def planted() -> Classifier:
    """Each class has a pattern of its own, balanced so that no flat colour raises any class."""
    weight = torch.randn(5, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    return linear_classifier(weight=weight - weight.mean(dim=(2, 3), keepdim=True))


def pattern(classifier: Classifier, index: int) -> Tensor:
    return classifier.module.weight[index].detach()


def made(
    classifier: Classifier, index: int, saliency: Tensor, recipe: Recipe = STEADY, **changes: object
) -> SaliencyMap:
    """A finished map without having been made."""
    flat = torch.ones(saliency.shape[1:])
    picture = render_pictures(saliency[None], recipe)[0]
    entries = {
        "concept": str(index),
        "targets": (index,),
        "map": saliency,
        "importance": flat,
        "mask": flat,
        "picture": picture,
        "raw_picture": picture,
        "development": torch.zeros(1, *saliency.shape, dtype=torch.uint8),
        "recipe": recipe.to_json(),
        "model": ModelRecord.of(classifier),
        "scores": NOT_MEASURED,
    }
    return SaliencyMap(**entries | changes)  # type: ignore[arg-type]


def case(classifier: Classifier, index: int, m: Tensor | None = None, **changes: object) -> Case:
    """The map of class `index`, by default its pattern, among the classes 0, 1 and 2."""
    m = 0.05 * pattern(classifier, index) if m is None else m
    concepts = tuple(Classes((k,), str(k)) for k in range(3))
    entries = {
        "classifier": classifier,
        "concept": concepts[index],
        "saliency": made(classifier, index, m),
        "index": index,
        "concepts": concepts,
        "other": made(classifier, 4, 0.05 * pattern(classifier, 4)),
        "verifiers": (classifier,),
        "photographs": None,
        "samples": 6,
        "similarities": {"features": torch.tensor([1.0, 0.25, -0.5]), "spectrum": torch.tensor([1.0, 0.5, 0.0])},
    }
    return Case(**entries | changes)  # type: ignore[arg-type]


def test_a_verifier_that_knows_the_pattern_recognises_it(planted):
    (opinion,) = Recognition().measure(case(planted, 1)).opinions
    assert opinion.top1
    assert opinion.top5
    assert opinion.log_probability > math.log(0.99)


def test_a_verifier_of_other_patterns_does_not_recognise_it(planted):
    stranger = linear_classifier((3, SIDE, SIDE), outputs=50, seed=9)
    (opinion,) = Recognition().measure(case(planted, 1, verifiers=(stranger,))).opinions
    assert opinion.log_probability < math.log(0.5)


def test_the_log_probability_is_that_of_the_softmax(planted):
    faint = case(planted, 1, 1e-3 * pattern(planted, 1))
    (opinion,) = Recognition().measure(faint).opinions
    expected = planted(faint.saliency.raw_picture[None]).log_softmax(dim=1)[0, 1].item()
    assert opinion.log_probability == pytest.approx(expected, abs=1e-4)


def test_a_pattern_wins_everywhere_and_controls_do_not(planted):
    found = Agnosticity().measure(case(planted, 1))
    assert found.other == "4"
    assert set(found.rates) == {"uniform", "pink", "flat", "gaussian"}
    for ground, rates in found.rates.items():
        assert rates["map"] == 1.0, ground
        assert rates["other"] == 0.0, ground
        assert rates["random"] <= 4 / 6, ground


def test_photographs_are_measured_with_and_without_the_map(planted):
    rates = Agnosticity().measure(case(planted, 1, photographs=Photographs())).rates["photographs"]
    assert set(rates) == {"map", "random", "other", "nothing"}
    assert rates["map"] == 1.0
    assert rates["nothing"] < 1.0


def test_a_single_map_has_no_control_of_another_class(planted):
    found = Agnosticity().measure(case(planted, 1, other=None))
    assert found.other is None
    assert "other" not in found.rates["uniform"]


def test_the_recipes_own_distribution_is_no_unseen_one(planted):
    own = replace(STEADY, distribution=NOISE["pink"])
    saliency = made(planted, 1, 0.05 * pattern(planted, 1), own)
    assert "pink" not in Agnosticity().measure(case(planted, 1, saliency=saliency)).rates


def test_maps_are_stamped_at_one_contrast_however_strong_they_are(planted):
    weak, strong = (make_stamp(made(planted, 1, strength * pattern(planted, 1))) for strength in (1e-3, 10.0))
    torch.testing.assert_close(weak, strong)
    assert make_stamp(made(planted, 2, pattern(planted, 2))).std().item() == pytest.approx(weak.std().item(), rel=1e-3)


def test_a_linear_models_gain_is_a_line_through_the_origin(planted):
    """s(x + εm) − s(x) = ε w·m, and a random map of equal norm is orthogonal to w but for chance."""
    m = 0.02 * pattern(planted, 1)
    found = Gain().measure(case(planted, 1, m))
    slope = (pattern(planted, 1) * m).sum().item()
    expected = [epsilon * slope for epsilon in found.epsilon]
    assert found.plus == pytest.approx(expected, rel=1e-3)
    assert found.minus == pytest.approx([-value for value in expected], rel=1e-3)
    assert abs(found.random[-1]) < 0.1 * slope


def test_a_map_raises_its_own_class_and_entangles_by_the_overlap_of_the_patterns(planted):
    """A linear model's entanglement is the inner product of the centred rows over that of the row with itself."""
    m = 0.02 * pattern(planted, 1)
    raised = Entanglement().measure(case(planted, 1, m)).raised
    rows = planted.module.weight.detach()
    rows = rows - rows.mean(dim=0)
    expected = [(rows[k] * m).sum().item() for k in range(3)]
    assert list(raised) == ["0", "1", "2"]
    assert list(raised.values()) == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_a_map_that_lowers_its_own_class_is_measured_and_has_no_share_of_entanglement(planted):
    """As maps of a random network do, whose evaluation stopped with "look for NaN"."""
    maps = (pattern(planted, 0), -pattern(planted, 1), pattern(planted, 2))
    scores = [Entanglement().measure(case(planted, index, 0.02 * one)) for index, one in enumerate(maps)]
    assert scores[1].raised["1"] < 0
    between = torch.tensor([0.1, 0.2])
    summary = Entanglement().summarize(scores, RunInfo(("0", "1", "2"), {"features": between, "spectrum": between}))
    assert (summary.concepts, summary.unraised) == (("0", "2"), ("1",))
    assert {(pair.map_of, pair.raises) for pair in summary.pairs} == {("0", "2"), ("2", "0")}
    assert "1" in [row[0].text for row in Entanglement().table(summary).rows]


def test_class_randomisation_names_the_most_similar_other_class(planted):
    found = OtherClasses().measure(case(planted, 0))
    assert found.features == SimilarityToOthers(-0.125, 0.25, "1")


def test_gini_and_effective_area_of_one_place_and_of_all():
    one, all_alike = torch.zeros(100).double(), torch.ones(100).double()
    one[7] = 3.0
    assert gini(one) == pytest.approx(0.99)
    assert gini(all_alike) == pytest.approx(0.0, abs=1e-12)
    assert effective_area(one) == pytest.approx(0.01)
    assert effective_area(all_alike) == pytest.approx(1.0)
    half = torch.cat([torch.zeros(50), torch.ones(50)]).double()
    assert gini(half) == pytest.approx(0.5)
    assert effective_area(half) == pytest.approx(0.5)


def test_the_complexity_is_that_of_the_importance(planted):
    importance = torch.zeros(SIDE, SIDE)
    importance[:6] = 1.0
    saliency = made(planted, 1, pattern(planted, 1), importance=importance)
    assert Complexity().measure(replace(case(planted, 1), saliency=saliency)) == ComplexityScore(0.75, 0.25)


def test_a_mask_over_half_the_evidence_keeps_half_of_it(planted):
    mask = torch.zeros(SIDE, SIDE)
    mask[: SIDE // 2] = 1.0
    saliency = made(planted, 1, 0.05 * pattern(planted, 1), mask=mask)
    found = Refinement().measure(replace(case(planted, 1), saliency=saliency))
    assert (found.inside, found.area) == (0.5, 0.5)
    assert found.before.top1 == 1.0
    assert found.after.probability <= found.before.probability


def test_a_mask_over_the_wrong_half_costs_fidelity(planted):
    m, mask = 0.05 * pattern(planted, 1), torch.ones(SIDE, SIDE)
    m[:, : SIDE // 2] = 0.0
    mask[SIDE // 2 :] = 0.0
    found = Refinement().measure(replace(case(planted, 1), saliency=made(planted, 1, m, mask=mask)))
    assert found.before.probability > 0.99
    assert found.after.probability < 0.9


@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 7, 9), (3, 8, 5)])
def test_a_scrambled_map_keeps_norm_spectrum_and_colours_but_nothing_else(shape):
    m = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    random = scramble_phases(m, 3, torch.Generator().manual_seed(2))
    for one in random:
        assert one.norm() == pytest.approx(m.norm().item(), rel=1e-4)
        torch.testing.assert_close(torch.fft.rfft2(one).abs(), torch.fft.rfft2(m).abs(), rtol=1e-3, atol=1e-3)
        assert abs(cosine(one, m)) < 0.5
    assert not torch.equal(random[0], random[1])


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("complexity", {"importance": torch.zeros(SIDE, SIDE)}),
        ("refinement", {"importance": torch.zeros(SIDE, SIDE)}),
        ("recognition", {"raw_picture": torch.full((3, SIDE, SIDE), 0.5)}),
        ("recognition", {"raw_picture": torch.full((3, SIDE, SIDE), torch.nan)}),
        ("gain", {"map": torch.zeros(3, SIDE, SIDE)}),
        ("gain", {"map": torch.full((3, SIDE, SIDE), torch.nan)}),
        ("agnosticity", {"map": torch.full((3, SIDE, SIDE), torch.nan)}),
        ("refinement", {"map": torch.full((3, SIDE, SIDE), torch.nan)}),
        ("entanglement", {"map": torch.zeros(3, SIDE, SIDE)}),
    ],
)
def test_an_empty_or_broken_map_has_no_score(planted, name, changes):
    broken = replace(case(planted, 1), saliency=made(planted, 1, pattern(planted, 1), **changes))
    with pytest.raises(MeaninglessScore):
        MEASURES[name].measure(broken)


def test_a_model_with_constant_outputs_is_no_verifier(planted):
    constant = linear_classifier((3, SIDE, SIDE), outputs=5)
    constant.module.weight.data.zero_()
    with pytest.raises(MeaninglessScore, match="same outputs for every image"):
        Recognition().measure(case(planted, 1, verifiers=(constant,)))


def test_every_shipped_photograph_is_there_in_colour_and_grey():
    for shape in ((3, 20, 30), (1, 16, 16)):
        drawn = Photographs().draw(torch.Generator(), len(PHOTOGRAPHS), shape)
        assert drawn.shape == (len(PHOTOGRAPHS), *shape)
        assert drawn.isfinite().all()
        assert 0 <= drawn.min() < drawn.max() <= 1
        assert (drawn.flatten(1).std(dim=1) > 0.05).all()


def test_models_of_other_channels_have_no_photographs():
    assert find_photographs(5) is None
    assert find_photographs(3) == Photographs()
    with pytest.raises(BadInput, match="1 or 3 channels"):
        load_photograph("coins", (5, 8, 8))


def test_a_photograph_that_is_not_shipped_is_refused():
    with pytest.raises(BadInput, match="expected one of astronaut"):
        load_photograph("lena", (3, 8, 8))


def test_the_concept_of_a_map_is_read_from_its_name_or_is_its_set_of_targets(planted):
    saliency = made(planted, 1, pattern(planted, 1))
    assert concept_of(saliency, planted.labels) == Classes((1,), "1", "logit")
    difference = replace(saliency, concept="1 - 2")
    assert concept_of(difference, planted.labels).name == "1 - 2"
    of_file = replace(saliency, concept="dogs", targets=(1, 3))
    assert concept_of(of_file, planted.labels) == Classes((1, 3), "dogs", "logit")
