"""The estimator agrees with `reference.py`, which is the method written a second time, slowly."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import reference
from models import linear_classifier
from phosphene.core.seeding import make_generator
from phosphene.method.multires import estimate
from phosphene.recipe.concepts import Classes
from phosphene.recipe.distributions import Gaussian
from phosphene.recipe.draws import draw
from phosphene.recipe.geometries import Pixel, Spectral
from phosphene.recipe.recipe import Recipe
from phosphene.recipe.views import STILL, Views, place

ITERATIONS = 3


@pytest.mark.parametrize("shared", [False, True], ids=["scatter of each", "shared scatter"])
@pytest.mark.parametrize("score", ["logit", "log_probability"])
@pytest.mark.parametrize("shape", [(3, 6, 5), (1, 5, 6)], ids=["colour", "grey"])
@pytest.mark.parametrize("views", [Views(), STILL], ids=["views", "still"])
@pytest.mark.parametrize("composition", ["logit", "clip"])
@pytest.mark.parametrize("geometry", [Pixel(0.3), Pixel(25.0), Spectral(0.3), Spectral(falloff=1.5)], ids=repr)
def test_the_estimator_agrees_with_the_numpy_reference(geometry, composition, views, shape, score, shared):
    classifier = linear_classifier(shape, outputs=3, mean=(0.4,), std=(0.3,))
    concept = Classes((1,), "one")
    recipe = Recipe(
        distribution=Gaussian(), views=views, composition=composition, score=score, geometry=geometry,
        iterations=ITERATIONS, step=0.05, samples=2,
        average_last=0.7, betas=(0.9, 0.95), shared_scale=shared,
    )  # fmt: skip
    *_, last = estimate(classifier, [Classes((1,), "one", score)], recipe)

    setting = reference.Setting(
        weight=classifier.module.weight.detach().double().numpy(), mean=0.4, std=0.3, target=1, score=score,
        composition=composition, geometry="pixel" if isinstance(geometry, Pixel) else "spectral",
        radius=geometry.radius, step=0.05, falloff=getattr(geometry, "falloff", 1.0), slow=0.95, shared=shared,
    )  # fmt: skip
    state, points = reference.start(setting), []
    for iteration in range(ITERATIONS):
        drawn = draw(recipe.distribution, views, [make_generator(0, concept.name, iteration)], 2, shape)
        matrices = None if drawn.views is None else drawn.views.double().numpy()
        state = reference.iterate(state, drawn.samples.double().numpy(), matrices, setting)
        points.append(reference.decode(state.coefficients, setting))

    expected = sum(points[-2:]) / 2  # 0.7 of 3 iterations
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(last.maps()[0].numpy(), expected, rtol=0, atol=1e-3 * np.abs(expected).max())


def test_a_view_places_the_map_as_the_reference_does():
    maps = torch.randn(4, 3, 6, 5, generator=torch.Generator().manual_seed(0))
    views = Views(shift=0.3, zoom=(0.5, 1.5), rotation=45).draw(torch.Generator().manual_seed(1), 4)
    expected = np.stack(
        [reference.place(m.double().numpy(), v.double().numpy()) for m, v in zip(maps, views, strict=True)]
    )
    np.testing.assert_allclose(place(maps, views).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(3, 6, 5), (1, 5, 6), (5, 4, 4)])
def test_spectral_decoding_is_the_sum_of_waves(shape):
    geometry = Spectral()
    z = torch.randn(geometry.start(1, shape).shape, generator=torch.Generator().manual_seed(0))
    setting = reference.Setting(np.zeros((1, *shape)), 0, 1, 0, "logit", "logit", "spectral", geometry.radius, 0.05)
    expected = reference.decode(z[0].double().numpy(), setting)
    np.testing.assert_allclose(geometry.decode(z, shape)[0].numpy(), expected, rtol=1e-4, atol=1e-4)
