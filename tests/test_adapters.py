"""The adapters, under the real Captum and the real Quantus."""

from __future__ import annotations

import numpy as np
import pytest
import quantus
import torch
from captum.attr import visualization
from captum.metrics import infidelity, sensitivity_max

from models import colour_classifier, cosine, grey_classifier, linear_classifier
from phosphene.adapters.captum import InputAgnostic
from phosphene.adapters.quantus import ModelExplainer
from phosphene.errors import BadInput, UnknownConcept
from phosphene.recipe.geometries import Pixel
from phosphene.recipe.recipe import Recipe
from phosphene.recipe.views import STILL
from phosphene.runs.make import make_maps

SHORT = Recipe(iterations=6)
LINEAR = Recipe(iterations=20, geometry=Pixel(), views=STILL, composition="clip", shared_scale=True, step=0.01)


@pytest.fixture(scope="module")
def method() -> InputAgnostic:
    return InputAgnostic(colour_classifier(), SHORT)


def images(count: int = 3, side: int = 32, channels: int = 3) -> torch.Tensor:
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(0))


def test_the_attribution_is_the_map(method):
    (made,) = make_maps(colour_classifier(), ["7"], SHORT)
    torch.testing.assert_close(method.attribute(images(1), target=7)[0], made.map)


def test_the_attribution_of_a_linear_model_is_its_weight_row():
    linear = linear_classifier()
    found = InputAgnostic(linear, LINEAR).attribute(torch.rand(1, 3, 6, 5), target=2)
    assert cosine(found, linear.module.weight[2]) > 0.99


def test_the_input_is_ignored_except_for_its_shape(method):
    assert torch.equal(method.attribute(images(), target=1), method.attribute(torch.zeros(3, 3, 32, 32), target=1))
    assert method.attribute(images(side=48), target=1).shape == (3, 3, 48, 48)


@pytest.mark.parametrize("target", [[1, 2, 1], torch.tensor([1, 2, 1])])
def test_each_image_may_have_its_own_target(method, target):
    found = method.attribute(images(), target=target)
    assert torch.equal(found[0], found[2])
    assert not torch.equal(found[0], found[1])
    assert torch.equal(found[1], method.attribute(images(1), target=2)[0])


@pytest.mark.parametrize(
    ("inputs", "target", "told"),
    [
        (images(), None, "None"),
        (images(), [1, 2], "2 targets for 3"),
        (images(channels=1), 1, r"\(N, 3, H, W\)"),
        ((images(), images()), 1, "2 input tensors"),
    ],
)
def test_what_cannot_be_attributed_is_refused(method, inputs, target, told):
    with pytest.raises(BadInput, match=told):
        method.attribute(inputs, target=target)


def test_a_target_out_of_range_says_how_many_there_are(method):
    with pytest.raises(UnknownConcept, match="20 outputs"):
        method.attribute(images(), target=20)


def test_captum_finds_no_sensitivity_to_the_input(method):
    """The law of an input-agnostic map, measured by Captum: moving the input moves nothing."""
    assert sensitivity_max(method.attribute, images(2), target=torch.tensor([1, 2]), n_perturb_samples=2).tolist() == [
        0,
        0,
    ]


def test_captum_finds_the_maps_of_a_linear_model_faithful():
    """Infidelity of the exact gradient of a linear model is zero; our map points that way, so a factor repairs it."""
    linear = linear_classifier()
    found = InputAgnostic(linear, LINEAR).attribute(torch.rand(4, 3, 6, 5), target=2)
    row = linear.module.weight[2].detach()
    factor = (found[0] * row).sum() / found[0].square().sum()

    def moved(inputs):
        noise = torch.randn(inputs.shape, generator=torch.Generator().manual_seed(1)) * 0.1
        return noise, inputs - noise

    errors = [
        infidelity(linear, moved, torch.rand(4, 3, 6, 5), attributions, target=2)
        for attributions in (factor * found, torch.zeros_like(found))
    ]
    assert errors[0].max() < 0.02 * errors[1].mean()


def test_captum_draws_the_attribution(method):
    plane = method.attribute(images(1), target=1)[0].permute(1, 2, 0).numpy()
    figure, _ = visualization.visualize_image_attr(plane, method="heat_map", sign="all", use_pyplot=False)
    assert figure.axes


@pytest.mark.parametrize("made", [colour_classifier, grey_classifier])
def test_quantus_randomises_the_model_and_the_map_goes(made):
    """Quantus's own model parameter randomisation: it correlates our maps with those of its randomised models."""
    classifier = made()
    channels, side = classifier.format.channels, classifier.format.size[0]
    test = quantus.MPRT(
        similarity_func=quantus.similarity_func.correlation_pearson, disable_warnings=True, normalise=False, abs=False
    )
    scores = test(
        model=classifier.module,
        x_batch=images(2, side, channels).numpy(),
        y_batch=np.array([1, 2]),
        explain_func=ModelExplainer(classifier.format, SHORT),
        device="cpu",
    )
    assert {"stem", "body", "head"} <= set(scores)
    last = scores["stem"]  # the input's layer is the last to be randomised
    assert len(last) == 2
    assert np.isfinite(last).all()
    assert max(last) < 0.5


def test_quantus_gets_another_map_for_another_class():
    """Quantus's random logit test of a linear model: rows of independent weights have nothing in common."""
    linear = linear_classifier((3, 16, 16), outputs=5)
    explain = ModelExplainer(linear.format, LINEAR)
    test = quantus.RandomLogit(
        num_classes=5,
        similarity_func=quantus.similarity_func.correlation_pearson,
        normalise=False,
        disable_warnings=True,
    )
    scores = test(
        model=linear.module, x_batch=images(2, 16).numpy(), y_batch=np.array([1, 2]), explain_func=explain, device="cpu"
    )
    assert len(scores) == 2
    assert max(map(abs, scores)) < 0.2


def test_the_explainer_leaves_the_model_as_it_was():
    module = colour_classifier().module.train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    ModelExplainer(colour_classifier().format, SHORT)(module, images(1).numpy(), np.array([1]))
    assert all(part.training for part in module.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
