"""The comparison's bookkeeping on answers that are known; no rival has to be installed."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from benchmarks.peers import evaluation, goals, methods, pictures
from benchmarks.peers.horama import roi_align
from benchmarks.peers.methods import Entry
from benchmarks.peers.network import NormalizedNetwork, count_passes
from benchmarks.peers.ours import Preset
from benchmarks.peers.pixels import PixelAscent
from benchmarks.recognition import random_classes
from benchmarks.record import keep_rows, load_observed
from torch import Tensor

from phosphene.model.classifier import Classifier
from phosphene.model.freezing import frozen
from phosphene.model.input_format import InputFormat
from phosphene.recipe.recipe import PRESETS
from phosphene.runs.make import make_maps

CLASSES = random_classes(0, 100)


class Means(torch.nn.Module):
    """A thousand logits, of which class k's is k times the mean of an image: white is 999, black is nothing."""

    def forward(self, images: Tensor) -> Tensor:
        return images.mean(dim=(1, 2, 3))[:, None] * torch.arange(1000.0)


@dataclass(frozen=True)
class Painter:
    """Paints every class in one shade and records the classes; it is interrupted at class `stumbles`."""

    painted: list[int]
    shade: float = 1.0
    stumbles: int | None = None
    together: int = 2

    def __call__(self, classifier: Classifier, classes: Sequence[int], seed: int) -> list[Tensor]:
        if self.stumbles in classes:
            raise KeyboardInterrupt
        self.painted.extend(classes)
        for _ in range(3):
            images = torch.rand(len(classes), *classifier.image_shape, requires_grad=True)
            classifier.module(images).sum().backward()
        return [torch.full((3, 6, 6), self.shade) for _ in classes]


@pytest.fixture
def thousand() -> Classifier:
    return Classifier(Means(), InputFormat((4, 4)))


def seen(top1: float, passes: float = 120, others: float | None = None, pictures: int = 100) -> evaluation.Observations:
    """Judges who both recognise a share `top1` of the pictures, or the second judge `others`."""
    shares = [1.0, top1, top1 if others is None else others]
    ranks = torch.stack([1 + 9 * (torch.arange(pictures) >= round(share * pictures)) for share in shares], dim=1)
    classes = tuple(CLASSES[:pictures])
    return evaluation.Observations(passes, 1.0, classes, ranks.double(), -torch.log(ranks.double()))


def test_the_counter_counts_images_forward_and_those_whose_gradient_came_back(linear: Classifier) -> None:
    images = torch.rand(5, *linear.image_shape, requires_grad=True)
    with count_passes(linear.module, linear.format.size) as passes:
        for _ in range(3):
            linear.module(images).sum().backward()
        with torch.no_grad():
            linear.module(images[:2])
    linear.module(images)
    assert (passes.forward, passes.backward) == (17, 15)


@pytest.mark.parametrize(("side", "counted_as"), [(16, 0.25), (24, 0.5625), (32, 1.0), (64, 1.0)])
def test_an_image_counts_by_its_pixels_and_never_for_more_than_one(
    colour: Classifier, side: int, counted_as: float
) -> None:
    with count_passes(colour.module, (32, 32)) as passes:
        colour.module.eval()(torch.rand(3, 3, side, side, requires_grad=True)).sum().backward()
    assert (passes.forward, passes.backward) == (3 * counted_as, 3 * counted_as)


@pytest.mark.parametrize("name", PRESETS)
def test_ours_is_what_the_package_makes(colour: Classifier, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the preset's own score and all its restarts; refinement in the run is left out, as the page says."""
    monkeypatch.setitem(PRESETS, name, replace(PRESETS[name], iterations=20))  # the others are more of the same
    pictures = Preset(name)(colour.fold(), [1, 7], seed=2)
    maps = make_maps(colour, ["1", "7"], replace(PRESETS[name], seed=2, refine_every=0))
    for picture, saliency in zip(pictures, maps, strict=True):
        torch.testing.assert_close(picture, saliency.raw_picture)


def test_pixel_ascent_takes_the_passes_that_it_says_and_climbs(colour: Classifier) -> None:
    with frozen(colour.module), count_passes(colour.module, colour.format.size) as passes:
        (picture,) = PixelAscent(steps=20)(colour, [1], seed=0)
    assert passes.backward == 20
    start = torch.full((1, *colour.image_shape), 0.5)
    assert colour(picture[None])[0, 1] > colour(start)[0, 1]
    assert picture.min() >= 0
    assert picture.max() <= 1


def test_a_network_that_normalizes_inside_gives_the_logits_of_the_classifier(colour: Classifier) -> None:
    images = torch.rand(2, *colour.image_shape)
    with frozen(colour.module):
        torch.testing.assert_close(NormalizedNetwork(colour)(images), colour(images))


def test_an_interrupted_run_goes_on_where_it_stopped(thousand: Classifier, tmp_path: Path) -> None:
    painted: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        pictures.make_missing("a, b", Painter(painted, stumbles=5), thousand, [1, 2, 3, 4, 5, 6], 0, tmp_path)
    (pictures.folder_of("a, b", 0, tmp_path) / "2.safetensors").write_bytes(b"cut")
    assert pictures.make_missing("a, b", Painter(painted), thousand, [1, 2, 3, 4, 5, 6], 0, tmp_path) == 3
    assert painted == [1, 2, 3, 4, 2, 5, 6]
    made = pictures.load(pictures.folder_of("a, b", 0, tmp_path) / "6.safetensors")
    assert made is not None
    assert made.passes == 3


def test_a_picture_is_judged_by_rank_and_log_probability(thousand: Classifier) -> None:
    first, third = evaluation.collect_opinions(thousand, torch.full((2, 3, 9, 9), 0.5), [999, 997])
    assert (first.rank, third.rank) == (1, 3)
    assert third.log_probability == pytest.approx(-1.0 + math.log(1 - math.exp(-0.5)), abs=2e-3)


def test_what_was_judged_is_not_judged_again(thousand: Classifier, tmp_path: Path) -> None:
    entries, observed = {"painter": Entry(Painter([]), "nobody", crops=(1.0, 0.5))}, tmp_path / "seen.json"
    pictures.make_missing("painter", Painter([]), thousand, CLASSES[:2], 0, tmp_path)
    evaluation.observe(lambda: [thousand] * 3, entries, observed, tmp_path)
    first = load_observed(observed)["painter / 0"]
    assert set(first) == {str(index) for index in CLASSES[:2]}
    assert all(len(numbers) == 1 + 2 * 3 * 2 for numbers in first.values())
    pictures.make_missing("painter", Painter([], shade=0.0), thousand, CLASSES[:3], 0, tmp_path)
    for path in pictures.folder_of("painter", 0, tmp_path).glob("*.safetensors"):
        pictures.save(path, pictures.Picture(torch.zeros(3, 6, 6), 3))
    evaluation.observe(lambda: [thousand] * 3, entries, observed, tmp_path)
    again = load_observed(observed)["painter / 0"]
    assert {index: again[index] for index in first} == first
    assert len(again) == 3


def test_a_method_is_shown_as_suits_it_best_and_its_row_says_how() -> None:
    entry = Entry(Painter([]), "nobody", crops=(1.0, 0.5))
    sure, lost = [1, -0.1], [40, -5.0]
    record = {"m / 0": {"7": [128, *lost * 3, *sure * 3], "8": [128, *lost * 3, *sure * 2, *lost]}}
    found = evaluation.collect("m", entry, record)
    assert found is not None
    assert found.share == 0.5
    row = evaluation.summarize("m", entry, found, None)
    assert row["shown"] == "middle 50%"
    assert row["Lite1 top-1"].startswith("100% (")
    assert row["Lite2 top-1"].startswith("50% (")
    assert row["Lite2 top-5"].startswith("50% (")


def test_the_middle_of_a_picture_is_its_middle() -> None:
    picture = torch.zeros(3, 8, 8)
    picture[:, 2:6, 2:6] = 1
    assert torch.equal(evaluation.crop_middle(picture, 0.5), torch.ones(3, 4, 4))


@pytest.mark.parametrize(
    ("found", "reached"),
    [
        (seen(0.95), "yes"),
        (seen(0.94), "**missed**"),
        (seen(0.99, others=0.94), "**missed**"),
        (seen(0.99, passes=129), "**missed**"),
        (seen(1.0, pictures=50), "undecided: 50 of 100 classes"),
    ],
)
def test_a_goal_is_reached_only_by_both_judges_within_the_passes(found: evaluation.Observations, reached: str) -> None:
    assert goals.judge_recognition({"default": found}, "default", 0.95, 128).row()["reached"] == reached


def test_a_rival_that_is_level_by_one_judge_keeps_us_from_being_ahead() -> None:
    ours, rival = seen(0.96), seen(0.5, others=0.96)
    assert goals.judge_lead({"default": ours, "DreamLens": seen(0.5)}).reached
    assert not goals.judge_lead({"default": ours, "DreamLens": rival}).reached
    expensive = seen(0.99, passes=512)
    assert goals.judge_lead({"default": ours, "Lucent": expensive, "DreamLens": seen(0.5)}).reached


def test_a_row_says_where_a_rival_is_ahead_on_the_classes_that_both_made() -> None:
    """The rival made the first 50 classes alone, which both judges recognise in its pictures; we fail at none of them."""
    rival, ours = seen(1.0, pictures=50), seen(0.6)
    entry = Entry(Painter([]), "nobody")
    assert evaluation.summarize("m", entry, rival, ours)["ahead of `default` in"] == "nothing"
    whole = seen(0.7)
    assert evaluation.summarize("m", entry, whole, ours)["ahead of `default` in"] == (
        "Lite1 top-1, Lite1 top-5, Lite1 log p, Lite2 top-1, Lite2 top-5, Lite2 log p"
    )


def test_four_times_faster_means_four_times() -> None:
    rows = {goal.goal: goal.reached for goal in goals.judge_speed({"default": 2.0, "Lucent": 8.0, "DreamLens": 7.9})}
    assert [
        rows[f"`default` takes at least 4× fewer seconds than {name} with its defaults"]
        for name in ("Lucent", "DreamLens")
    ] == [True, False]
    assert all(goal.reached is None for goal in goals.judge_speed({}))


def test_the_stand_in_for_roi_align_gives_what_torchvision_defines() -> None:
    """One bilinear sample in the middle of each cell; repeated up to a pixel outside, zero farther out."""
    ramp = torch.arange(36.0).view(1, 1, 6, 6)
    inside = roi_align(ramp, torch.tensor([[0.0, 1.0, 2.0, 3.0, 4.0]]), (2, 2))
    torch.testing.assert_close(inside[0, 0], torch.tensor([[16.5, 17.5], [22.5, 23.5]]))
    edge = roi_align(ramp, torch.tensor([[0.0, -3.0, 0.0, 1.0, 1.0]]), (1, 4))
    torch.testing.assert_close(edge[0, 0], torch.tensor([[0.0, 0.0, 3.0, 3.5]]))


def test_every_method_has_a_folder_of_its_own() -> None:
    folders = {pictures.folder_of(name, 0) for name in methods.METHODS}
    assert len(folders) == len(methods.METHODS)


def test_rows_that_are_not_made_anew_stay_in_the_table(tmp_path):
    assert keep_rows("t", [{"a": 1, "b": 1}], ("a",), tmp_path) == [{"a": 1, "b": 1}]
    older = [{"a": 1, "b": "x", "n": 1}, {"a": 1, "b": "y", "n": 2}, {"a": 2, "b": "x", "n": 3}]
    (tmp_path / "t.json").write_text(json.dumps({"rows": older}))
    made = [{"a": 1, "b": "x", "n": 9}]
    assert keep_rows("t", made, ("a", "b"), tmp_path) == [older[1], older[2], made[0]]
    assert keep_rows("t", made, ("a",), tmp_path) == [older[2], made[0]]
