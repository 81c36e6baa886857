"""Laws of every distribution, view and composition."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from phosphene.core.seeding import make_generator
from phosphene.errors import BadInput
from phosphene.recipe.compositions import COMPOSITIONS
from phosphene.recipe.distributions import DISTRIBUTIONS, Flat, Folder, Gaussian, Grey, Mixture, Pink, Uniform
from phosphene.recipe.draws import draw, overlay
from phosphene.recipe.views import STILL, VIEWS, Views, place

every_distribution = pytest.mark.parametrize("kind", DISTRIBUTIONS)
every_composition = pytest.mark.parametrize("compose", COMPOSITIONS.values(), ids=list(COMPOSITIONS))
SHAPES = [(3, 8, 7), (1, 5, 6)]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    for k, colour in enumerate(["red", "lime", "blue", "white"]):
        Image.new("RGB", (20 + k, 30), colour).save(folder / f"{colour}.png")
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture
def distribution(kind, photographs):
    return Folder(str(photographs)) if kind == "folder" else DISTRIBUTIONS[kind]()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@every_distribution
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("count", [1, 3])
def test_draws_are_images_in_range(distribution, shape, count):
    images = distribution.draw(generator(), count, shape)
    assert images.shape == (count, *shape)
    assert images.dtype == torch.float32
    assert images.min() >= 0
    assert images.max() <= 1


@every_distribution
def test_the_same_generator_draws_the_same(distribution):
    first = distribution.draw(generator(3), 2, (3, 8, 7))
    assert torch.equal(first, distribution.draw(generator(3), 2, (3, 8, 7)))


@every_distribution
def test_other_concepts_seeds_and_iterations_draw_otherwise(distribution):
    base, *others = (
        distribution.draw(make_generator(*key), 6, (3, 8, 7))
        for key in [(0, "cat", 0), (0, "dog", 0), (1, "cat", 0), (0, "cat", 1)]
    )
    for other in others:
        assert not torch.equal(base, other)


@every_distribution
def test_a_draw_does_not_touch_the_global_random_state(distribution):
    before = torch.random.get_rng_state()
    distribution.draw(generator(), 2, (3, 8, 7))
    assert torch.equal(torch.random.get_rng_state(), before)


@every_distribution
def test_a_distribution_is_frozen_and_says_what_it_is(distribution):
    assert type(distribution).__doc__
    assert isinstance(distribution.data_free, bool)
    if fields(distribution):
        with pytest.raises(FrozenInstanceError):
            setattr(distribution, fields(distribution)[0].name, None)


def test_only_photographs_use_data(photographs):
    assert [kind for kind in DISTRIBUTIONS if kind != "folder" and not DISTRIBUTIONS[kind]().data_free] == []
    assert not Folder(str(photographs)).data_free
    assert not Mixture((Flat(), Folder(str(photographs)))).data_free
    assert not Mixture((Mixture((Folder(str(photographs)),)),)).data_free


@pytest.mark.parametrize(
    ("distribution", "mean", "deviation"),
    [
        (Grey(0.1), 0.5, 0.1),
        (Gaussian(0.15), 0.5, 0.15),
        (Uniform(), 0.5, 12**-0.5),
        (Flat(), 0.5, 12**-0.5),
        (Pink(0.1), 0.5, 0.1),
    ],
    ids=repr,
)
def test_draws_have_the_stated_mean_and_spread(distribution, mean, deviation):
    images = distribution.draw(generator(), 400, (3, 16, 16))
    torch.testing.assert_close(images.mean(), torch.tensor(mean), atol=0.03, rtol=0)
    torch.testing.assert_close(images.std(), torch.tensor(deviation), atol=0.02, rtol=0)


@pytest.mark.parametrize("side", [64, 512], ids=["from the table", "too large for it"])
def test_the_noise_of_two_draws_and_of_neighbouring_pixels_is_independent(side):
    first, second = Grey(0.1).draw(generator(), 2, (3, side, side)) - 0.5
    kurtosis = (first / 0.1).pow(4).mean()
    torch.testing.assert_close(kurtosis, torch.tensor(3.0), atol=0.25, rtol=0)
    for one, other in [(first, second), (first[:, 1:], first[:, :-1]), (first[0], first[1])]:
        assert abs(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1]) < 0.05


def test_what_is_drawn_is_the_callers_own_to_change():
    """Noise comes from a table that all draws share."""
    Grey().draw(generator(), 2, (3, 8, 7)).zero_()
    assert Grey().draw(generator(), 2, (3, 8, 7)).min() > 0


def test_grey_without_noise_is_grey():
    assert (Grey(0.0).draw(generator(), 2, (3, 4, 4)) == 0.5).all()


def test_flat_images_are_flat_and_of_many_colours():
    images = Flat().draw(generator(), 4, (3, 6, 5))
    assert torch.equal(images, images[:, :, :1, :1].expand_as(images))
    assert images[:, :, 0, 0].unique().numel() == 12


def test_pink_noise_falls_off_with_one_over_the_frequency():
    spectrum = (
        torch.fft.rfft2(Pink(0.05).draw(generator(), 200, (1, 32, 32)) - 0.5).abs().square().mean(dim=(0, 1)).sqrt()
    )
    torch.testing.assert_close(spectrum[0, 2] / spectrum[0, 8], torch.tensor(4.0), rtol=0.15, atol=0)


def test_a_mixture_draws_from_each_of_its_parts():
    images = Mixture((Grey(0.0), Flat())).draw(generator(), 40, (3, 4, 4))
    grey = (images == 0.5).flatten(1).all(dim=1).float().mean()
    assert 0.3 < grey < 0.7


def test_photographs_are_those_of_the_folder(photographs):
    images = Folder(str(photographs)).draw(generator(), 40, (3, 8, 7))
    colours = {tuple(row) for row in images[:, :, 0, 0].tolist()}
    assert colours == {(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1)}


def test_photographs_for_a_model_of_other_channels_are_refused(photographs):
    with pytest.raises(BadInput, match="channels"):
        Folder(str(photographs)).draw(generator(), 1, (5, 8, 7))


def test_an_empty_or_missing_folder_is_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(BadInput, match="no images"):
            Folder(str(folder)).draw(generator(), 1, (3, 8, 7))


def test_a_file_that_is_no_image_is_refused(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(BadInput, match=r"broken\.png"):
        Folder(str(tmp_path)).draw(generator(), 1, (3, 8, 7))


@every_distribution
def test_a_draw_depends_on_its_generator_alone_and_not_on_the_batch(distribution):
    def drawn(*names: str):
        return draw(distribution, Views(), [make_generator(0, name, 4) for name in names], 2, (3, 8, 7))

    alone, together = drawn("b"), drawn("a", "b", "c")
    assert torch.equal(together.samples[2:4], alone.samples)
    assert torch.equal(together.views[2:4], alone.views)


# Views ------------------------------------------------------------------------------------------------------------


def random_maps(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=generator(seed))


def test_views_that_never_move_are_none_and_leave_the_map():
    assert STILL.draw(generator(), 3) is None
    m = random_maps(2, 3, 6, 5)
    assert place(m, None) is m


def test_the_identity_view_leaves_the_map():
    m, identity = random_maps(2, 3, 6, 5), torch.tensor([[1.0, 0, 0], [0, 1, 0]]).expand(2, 2, 3)
    torch.testing.assert_close(place(m, identity), m)


def test_placing_has_the_adjoint_that_torch_derives():
    m = random_maps(3, 2, 9, 7).requires_grad_()
    views, weight = Views(0.3, (0.5, 1.5), 40).draw(generator(1), 3), random_maps(3, 2, 9, 7, seed=2)
    grid = torch.nn.functional.affine_grid(views, [3, 2, 9, 7], align_corners=False)
    expected = torch.nn.functional.grid_sample(m, grid, align_corners=False)
    torch.testing.assert_close(place(m, views), expected, atol=1e-5, rtol=0)
    (slope,) = torch.autograd.grad((weight * place(m, views)).sum(), m)
    torch.testing.assert_close(slope, torch.autograd.grad((weight * expected).sum(), m)[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize(("dx", "dy"), [(1, 0), (0, 2), (-2, 1)])
def test_a_shift_moves_the_map_and_leaves_no_evidence_behind(dx, dy):
    """The offset is in halves of the side: 2 k / W moves by k pixels."""
    m = random_maps(1, 2, 6, 8)
    view = torch.tensor([[[1.0, 0, 2 * dx / 8], [0, 1, 2 * dy / 6]]])
    expected = torch.zeros_like(m)
    for y in range(6):
        for x in range(8):
            if 0 <= y + dy < 6 and 0 <= x + dx < 8:
                expected[0, :, y, x] = m[0, :, y + dy, x + dx]
    torch.testing.assert_close(place(m, view), expected, atol=1e-5, rtol=0)


def test_a_zoom_above_one_enlarges():
    """A factor of two: the middle half of the map fills the picture."""
    m = torch.zeros(1, 1, 8, 8)
    m[..., 2:6, 2:6] = 1.0
    view = Views(shift=0, zoom=(2.0, 2.0), rotation=0).draw(generator(), 1)
    assert place(m, view)[..., 1:7, 1:7].eq(1).all()
    small = place(torch.ones(1, 1, 8, 8), Views(shift=0, zoom=(0.5, 0.5), rotation=0).draw(generator(), 1))
    torch.testing.assert_close(small.sum(), torch.tensor(16.0))


@given(
    seed=st.integers(0, 2**31),
    shift=st.floats(0, 0.5),
    low=st.floats(0.5, 1),
    high=st.floats(1.01, 2),
    angle=st.floats(0, 90),
)
def test_views_stay_in_the_stated_range(seed, shift, low, high, angle):
    matrices = Views(shift, (low, high), angle).draw(generator(seed), 5)
    assert matrices.shape == (5, 2, 3)
    assert matrices[:, :, 2].abs().max() <= 2 * shift + 1e-6
    zoom = torch.linalg.det(matrices[:, :, :2]).rsqrt()
    assert low - 1e-4 <= zoom.min() <= zoom.max() <= high + 1e-4
    turned = torch.atan2(matrices[:, 1, 0], matrices[:, 0, 0]).rad2deg()
    assert turned.abs().max() <= angle + 1e-3


def test_shift_zoom_and_rotation_all_vary():
    matrices = Views().draw(generator(), 200)
    assert matrices[:, :, 2].abs().amax(dim=0).min() > 0.2
    zoom = torch.linalg.det(matrices[:, :, :2]).rsqrt()
    assert zoom.min() < 0.83
    assert zoom.max() > 1.17
    turned = torch.atan2(matrices[:, 1, 0], matrices[:, 0, 0]).rad2deg()
    assert turned.min() < -9
    assert turned.max() > 9


def test_the_registered_views_draw():
    still = torch.eye(2, 3).expand(2, 2, 3)
    moves = {name: not torch.equal(drawn if (drawn := views.draw(generator(), 2)) is not None else still, still)
             for name, views in VIEWS.items()}  # fmt: skip
    assert moves == {"all": True, "shift": True, "zoom": True, "rotation": True, "none": False}


# Compositions -----------------------------------------------------------------------------------------------------


@every_composition
@given(seed=st.integers(0, 2**31), scale=st.floats(0, 1000))
def test_what_is_shown_is_an_image(compose, seed, scale):
    shown_images = compose(
        torch.rand(1, 3, 4, 4, generator=generator(seed)), scale * random_maps(1, 3, 4, 4, seed=seed)
    )
    assert shown_images.min() >= 0
    assert shown_images.max() <= 1


@every_composition
def test_the_zero_map_shows_the_sample(compose):
    x = torch.linspace(0, 1, 257).view(1, 1, 1, 257)
    difference = (compose(x, torch.zeros_like(x)) - x).abs().flatten()
    assert difference.max() <= 1 / 256 + 1e-6
    assert difference[2:-2].max() <= 1e-6


@every_composition
@given(seed=st.integers(0, 2**31))
def test_more_evidence_never_darkens_a_pixel(compose, seed):
    x, m = torch.rand(1, 3, 4, 4, generator=generator(seed)), random_maps(1, 3, 4, 4, seed=seed)
    more = m + torch.rand(1, 3, 4, 4, generator=generator(seed + 1))
    assert (compose(x, more) >= compose(x, m)).all()


def test_the_logit_composition_never_kills_a_gradient():
    x, m = torch.tensor([0.0, 0.5, 1.0]), torch.zeros(3, requires_grad=True)
    COMPOSITIONS["logit"](x, m).sum().backward()
    assert (m.grad > 0).all()


@every_composition
def test_a_sample_carries_the_map_of_its_own_concept(compose):
    """Samples stand map after map, as the generators do."""
    maps = torch.stack([torch.full((1, 4, 4), 5.0), torch.full((1, 4, 4), -5.0)])
    draws = draw(Grey(0.0), STILL, [make_generator(0, name, 0) for name in "ab"], 3, (1, 4, 4))
    images = overlay(draws, maps, compose)
    assert images.shape == (6, 1, 4, 4)
    assert (images[:3] > 0.9).all()
    assert (images[3:] < 0.1).all()
