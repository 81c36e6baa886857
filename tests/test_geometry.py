"""Laws of every geometry, over random shapes (1, 3 and 5 channels, odd and even sides) inside and outside the ball."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from phosphene.core.images import ImageShape
from phosphene.recipe.geometries import GEOMETRIES, Geometry, Spectral

every_geometry = pytest.mark.parametrize("geometry", [kind() for kind in GEOMETRIES.values()], ids=list(GEOMETRIES))
shapes = st.tuples(st.sampled_from([1, 3, 5]), st.integers(4, 9), st.integers(4, 9))


@dataclass(frozen=True)
class Points:
    """Random directions with a share of the radius each: below 1 inside the ball, above 1 outside."""

    shape: ImageShape
    shares: list[float]
    seed: int

    def of(self, geometry: Geometry) -> Tensor:
        z = torch.randn(
            geometry.start(len(self.shares), self.shape).shape, generator=torch.Generator().manual_seed(self.seed)
        )
        wanted = torch.tensor(self.shares) * geometry.radius
        return z * (wanted / geometry.norm(z, self.shape)).view(-1, *[1] * (z.ndim - 1))


points = st.builds(Points, shapes, st.lists(st.floats(0, 4), min_size=1, max_size=3), st.integers(0, 2**31))


@every_geometry
@given(points=points)
def test_projection_is_idempotent_and_bounded(geometry, points):
    once = geometry.project(points.of(geometry), points.shape)
    assert geometry.norm(once, points.shape).max() <= geometry.radius * (1 + 1e-5)
    torch.testing.assert_close(geometry.project(once, points.shape), once)


@every_geometry
@given(points=points)
def test_projection_leaves_points_of_the_ball_where_they_are(geometry, points):
    z = points.of(geometry)
    projected = geometry.project(z, points.shape)
    inside = torch.tensor(points.shares) < 0.999
    assert torch.equal(projected[inside], z[inside])


@every_geometry
@given(points=points, other_seed=st.integers(0, 2**31))
def test_no_other_point_of_the_ball_is_nearer_than_the_projection(geometry, points, other_seed):
    z = points.of(geometry)
    others = Points(points.shape, [min(share, 1.0) for share in points.shares], other_seed).of(geometry)
    chosen = geometry.project(z, points.shape)
    near = geometry.norm(z - chosen, points.shape)
    for candidate in (others, 0.9 * chosen + 0.1 * others):
        assert (near <= geometry.norm(z - candidate, points.shape) + 1e-3).all()


@every_geometry
@given(points=points)
def test_rows_are_projected_each_by_itself(geometry, points):
    z = points.of(geometry)
    alone = torch.cat([geometry.project(row[None], points.shape) for row in z])
    assert torch.equal(geometry.project(z, points.shape), alone)


@every_geometry
@given(points=points, a=st.floats(-3, 3), b=st.floats(-3, 3))
def test_decoding_is_linear(geometry, points, a, b):
    x = points.of(geometry)
    y = x.flip(0).roll(1, dims=2)
    combined = geometry.decode(a * x + b * y, points.shape)
    parts = a * geometry.decode(x, points.shape) + b * geometry.decode(y, points.shape)
    torch.testing.assert_close(combined, parts, rtol=1e-4, atol=1e-3)


@every_geometry
@given(shape=shapes, seed=st.integers(0, 2**31))
def test_decoding_undoes_encoding(geometry, shape, seed):
    m = torch.randn(2, *shape, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(geometry.decode(geometry.encode(m), shape), m, rtol=1e-4, atol=1e-4)


@every_geometry
@given(shape=shapes)
def test_the_start_decodes_to_the_zero_map(geometry, shape):
    start = geometry.decode(geometry.start(2, shape), shape)
    assert start.shape == (2, *shape)
    assert not start.any()


@every_geometry
@given(points=points, factor=st.floats(0, 8))
def test_the_norm_scales_with_its_argument(geometry, points, factor):
    z = points.of(geometry)
    expected = factor * geometry.norm(z, points.shape)
    torch.testing.assert_close(geometry.norm(factor * z, points.shape), expected, rtol=1e-4, atol=1e-4)


def sobolev(maps: Tensor, geometry: Spectral) -> Tensor:
    """`(Σ |f|^2α·|m̂(f)|²)^½ / gain` from the map alone: every frequency of a full FFT, in natural colour axes."""
    height, width = maps.shape[2:]
    if maps.shape[1] == 3:
        axes = torch.tensor([[1, 1, 1], [1, 0, -1], [1, -2, 1]]).double()
        strength = torch.tensor([1.0, *geometry.colour]).double()
        maps = torch.einsum("ac,nchw->nahw", axes / axes.norm(dim=1, keepdim=True) / strength[:, None], maps.double())
    spectrum = torch.fft.fft2(maps.double(), norm="ortho").abs()
    f = (torch.fft.fftfreq(height)[:, None].square() + torch.fft.fftfreq(width)[None].square()).sqrt().double()
    f[0, 0] = 1.0 / max(height, width)
    return (spectrum * f**geometry.falloff).square().sum(dim=(1, 2, 3)).sqrt() / geometry.gain


@given(shape=shapes, seed=st.integers(0, 2**31), falloff=st.floats(0.5, 2))
def test_the_spectral_norm_is_the_maps_sobolev_norm(shape, seed, falloff):
    geometry = Spectral(falloff=falloff)
    m = torch.randn(2, *shape, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(
        geometry.norm(geometry.encode(m), shape).double(), sobolev(m, geometry), rtol=1e-4, atol=1e-4
    )


@given(points=points)
def test_a_spectral_maps_sobolev_norm_stays_below_the_radius(points):
    """Coefficients that no real image has (an imaginary mean, say) may cost norm, but never hide any."""
    geometry = Spectral()
    m = geometry.decode(geometry.project(points.of(geometry), points.shape), points.shape)
    assert sobolev(m, geometry).max() <= geometry.radius * (1 + 1e-4)


def test_a_spectral_coefficient_of_a_low_frequency_weighs_more_than_one_of_a_high_frequency():
    geometry, shape = Spectral(falloff=1.5), (1, 16, 16)
    z = geometry.start(2, shape)
    z[0, 0, 0, 1, 0] = z[1, 0, 0, 4, 0] = 1.0
    low, high = geometry.decode(z, shape).flatten(1).norm(dim=1)
    torch.testing.assert_close(low / high, torch.tensor(4.0**1.5))


@every_geometry
@given(points=points, seed=st.integers(0, 2**31))
def test_pulling_a_gradient_back_is_the_transpose_of_decoding(geometry, points, seed):
    """`⟨decode z, g⟩` is `⟨z, pull g⟩`: by autograd, so with every coefficient counted once."""
    z = points.of(geometry).requires_grad_()
    g = torch.randn(len(z), *points.shape, generator=torch.Generator().manual_seed(seed))
    (expected,) = torch.autograd.grad((geometry.decode(z, points.shape) * g).sum(), z)
    torch.testing.assert_close(geometry.pull(g), expected, rtol=1e-4, atol=1e-4)


@every_geometry
def test_gradients_flow_through_decoding(geometry):
    z = geometry.start(1, (3, 6, 5)).requires_grad_()
    (gradient,) = torch.autograd.grad(geometry.decode(z, (3, 6, 5))[0, 0, 2, 3], z)
    assert gradient.any()
