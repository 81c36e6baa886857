"""The zoo's fractals: classes that differ, images that repeat themselves, and networks that fit their tasks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from benchmarks.zoo import fractals
from benchmarks.zoo.architectures import ARCHITECTURES, RECIPES
from benchmarks.zoo.domains import DOMAINS, TASKS
from benchmarks.zoo.plan import FRACTALS, plan_fractals


def test_an_orbit_of_one_map_ends_at_its_fixed_point():
    matrix = np.array([[[[0.5, 0.0], [0.0, 0.25]]]])
    points = fractals.trace_orbits(matrix, np.array([[[1.0, 3.0]]]), np.random.default_rng(0))
    np.testing.assert_allclose(points[0, -1], [2.0, 4.0], atol=1e-6)


def test_an_attractor_is_the_union_of_its_images_under_the_maps():
    ((matrices, offsets),) = fractals.draw_classes(1, seed=4)
    (points,) = fractals.trace_orbits(matrices[None], offsets[None], np.random.default_rng(1))
    (dense,) = np.concatenate(
        [fractals.trace_orbits(matrices[None], offsets[None], np.random.default_rng(k)) for k in range(2, 12)], axis=1
    )
    moved = np.einsum("ij,pj->pi", matrices[0], points[:200]) + offsets[0]
    apart = np.linalg.norm(moved[:, None] - dense[None], axis=2).min(axis=1)
    assert np.quantile(apart, 0.95) < 0.02 * np.ptp(dense, axis=0).max()


def test_images_repeat_themselves_and_other_seeds_are_other_images_of_the_same_classes():
    one, labels = fractals.generate_images(3, 60, 1, system_seed=5)
    again, _ = fractals.generate_images(3, 60, 1, system_seed=5)
    other, _ = fractals.generate_images(3, 60, 2, system_seed=5)
    np.testing.assert_array_equal(one, again)
    assert one.shape == (60, 3, 32, 32)
    assert one.min() >= 0
    assert one.max() <= 1
    assert set(labels) == {0, 1, 2}
    assert np.abs(one - other).mean() > 0.1


def test_the_cover_of_an_image_tells_its_class():
    """By the nearest mean cover, turned and moved as they are; a third would be chance."""
    random = np.random.default_rng(0)
    covers = [fractals.draw_attractors(*system, 60, random) for system in fractals.draw_classes(3, seed=3004 + 93)]
    means = np.stack([cover[:30].mean(axis=0) for cover in covers])
    told = [
        ((cover[30:, None] - means[None]) ** 2).sum(axis=(2, 3)).argmin(axis=1) == k for k, cover in enumerate(covers)
    ]
    assert np.mean(told) > 0.7


def test_leaves_have_edges_of_many_sizes():
    """The power of an image of leaves falls with the frequency as a photograph's does, with an exponent of about 2."""
    canvas = fractals.draw_leaves(np.random.default_rng(0)).mean(axis=0)
    power = np.abs(np.fft.fft2(canvas - canvas.mean())) ** 2
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(len(canvas)), np.fft.fftfreq(len(canvas))))
    chosen = (frequency > 0.02) & (frequency < 0.2)
    slope = np.polyfit(np.log(frequency[chosen]), np.log(power[chosen]), 1)[0]
    assert -3.5 < slope < -1.5


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_has_a_recipe_and_learns_from_every_weight(name):
    torch.manual_seed(0)
    for channels, side in ((1, 28), (3, 32)):
        network = ARCHITECTURES[name](channels, 7)
        network(torch.rand(4, channels, side, side)).square().sum().backward()
        assert all(parameter.grad is not None for parameter in network.parameters())
    assert RECIPES[name].rate > 0


def test_the_plan_of_fractals_goes_through_all_tasks_attacks_and_architectures():
    entries = plan_fractals()
    assert {entry.domain for entry in entries} == {f"fractals{k}{letter}" for k in TASKS for letter in TASKS[k]}
    assert {entry.domain for entry in entries} <= set(DOMAINS)
    for tasks, clean, attacks, architectures in FRACTALS:
        own = [entry for entry in entries if DOMAINS[entry.domain].classes in tasks]
        poisoned = [entry.attack for entry in own if entry.attack not in ("none", "decoy")]
        assert sorted(poisoned) == sorted(attacks)
        assert len(own) - len(poisoned) == clean
        assert {entry.architecture for entry in own} == set(architectures)
