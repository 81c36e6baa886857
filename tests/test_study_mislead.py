"""Study 1 on models whose answers are known: what is measured is what is there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import models
from browser import PHONE
from phosphene.cli.study import format_command
from phosphene.core.intervals import effect_size
from phosphene.errors import ArtifactError, BadInput
from phosphene.model.classifier import Classifier
from phosphene.model.input_format import InputFormat
from phosphene.recipe.grammar import parse
from phosphene.recipe.recipe import PRESETS
from phosphene.report.study import write_study_report
from phosphene.studies.attributions import METHODS, Network, compute_heat, shift_network
from phosphene.studies.estimates import estimate_auc, estimate_effect_size, estimate_mean, estimate_rate
from phosphene.studies.folder import Part, Parts
from phosphene.studies.heat_maps import correlate_ranks, measure_share
from phosphene.studies.mislead import Settings
from phosphene.studies.mislead.cases import ALL, list_excess, list_outlined
from phosphene.studies.mislead.experiment import measure
from phosphene.studies.mislead.findings import build_study, write_answers, write_reading
from phosphene.studies.mislead.maps import measure_agnostic_maps
from phosphene.studies.mislead.photograph import measure_photograph
from phosphene.studies.mislead.stamps import estimate_stamps, measure_psnr, measure_reach
from phosphene.studies.mislead.tables import build_tables
from phosphene.studies.photographs import FixedImages, Photograph, load_photographs
from phosphene.studies.words import AGNOSTIC, format_hits

SIDE = 16
GRADIENTS = ("Saliency", "SmoothGrad", "Integrated Gradients", "GradientShap", "Occlusion")  # need no layer of maps


def half(left: bool) -> torch.Tensor:
    region = torch.zeros(SIDE, SIDE)
    region[:, : SIDE // 2] = 1
    return region if left else 1 - region


def photograph(name: str = "one", seed: int = 0) -> Photograph:
    """Noise whose object is the left half."""
    generator = torch.Generator().manual_seed(seed)
    return Photograph(name, 0.3 + 0.4 * torch.rand(3, SIDE, SIDE, generator=generator), half(left=True))


def sided() -> Classifier:
    """Linear: class 0 is decided by the left half (the object) alone, classes 1 and 2 by the right half alone."""
    weight = 0.1 * torch.randn(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    weight[0] *= half(left=True)
    weight[1:] *= half(left=False)
    module = models.Linear(weight, torch.tensor([3.0, 0.0, 0.0]))  # what shows nothing is called 0
    form = InputFormat((SIDE, SIDE), 3, (0.5,), (0.25,))
    return Classifier(module, form, name="sided", labels=("left", "right", "other right"))


SMALL = Settings(models=("sided",), classes=("right", "other right"), methods=GRADIENTS, stamp=15.0,
                 stamp_iterations=60, preset="fast")  # fmt: skip


@pytest.fixture(scope="module")
def answers() -> Part:
    """What is measured on one photograph of the linear model; its stamps are stronger than ones that hide."""
    classifier, shown = sided(), photograph()
    concepts = [parse(name, classifier.labels, scored="margin") for name in SMALL.classes]
    stamps = estimate_stamps(
        classifier, concepts, FixedImages(shown.image[None]), SMALL.stamp, SMALL.stamp_iterations, 0
    )
    return measure_photograph(classifier, Network.of(classifier), shown, concepts, stamps, GRADIENTS)


@pytest.mark.parametrize("method", GRADIENTS)
def test_where_the_model_looks_outside_the_object_only_so_does_every_method(answers, method):
    for pair in answers.numbers["pairs"]:
        near = 0.25 if method == "Occlusion" else 0.02  # an occluding square reaches across the border
        assert pair["methods"][method]["inside"] == pytest.approx(0.0, abs=near)
        assert pair["methods"][method]["own_inside"] == pytest.approx(1.0, abs=near)


def test_the_stamp_and_its_effect_are_where_the_linear_model_looks(answers):
    """Margins of B against the rest also push class 0 down, on the left; what raises the logit of B is on the right."""
    for pair in answers.numbers["pairs"]:
        assert pair["fooled"]
        assert pair["effect_inside"] == pytest.approx(0.0, abs=0.02)
        assert 0.0 < pair["cause_inside"] < 1.0
        assert pair["area"] == 0.5


def test_how_visible_a_stamp_is_is_said_of_what_is_left_of_it_after_clipping(answers):
    image = photograph().image
    for row, pair in enumerate(answers.numbers["pairs"]):
        change = answers.tensors["stamped"][row] - image
        assert pair["largest"] == pytest.approx(255 * change.abs().max().item())
        assert pair["psnr"] == pytest.approx(20 * np.log10(1 / change.square().mean().sqrt().item()))
        assert pair["psnr"] == pytest.approx(20 * np.log10(255 / SMALL.stamp), abs=0.5)
    assert measure_psnr(torch.zeros(3), torch.full((3,), 0.1)) == pytest.approx(20.0)


def test_a_stamp_turns_what_it_was_made_to_turn_and_a_class_that_is_there_already_is_no_pair():
    classifier = sided()
    concepts = [parse(name, classifier.labels) for name in ("left", "right")]
    lit = torch.stack([row.sign() for row in classifier.module.weight.detach()[:2]])
    images = torch.stack([photograph(seed=seed).image for seed in range(3)])
    weak, strong = measure_reach(classifier, concepts, images, {"signs": [(lit, 0.01), (lit, 100.0)]})
    assert (weak["turned"], strong["turned"]) == (0, 3)
    assert weak["of"] == strong["of"] == 3  # each is called "left" already
    assert weak["psnr"] > strong["psnr"]


def test_a_stamp_has_the_root_mean_square_that_was_asked_for():
    classifier, shown = sided(), [photograph("one", 0), photograph("two", 1)]
    concepts = [parse(name, classifier.labels, scored="margin") for name in SMALL.classes]
    stamps = estimate_stamps(
        classifier,
        concepts,
        FixedImages(torch.stack([one.image for one in shown])),
        SMALL.stamp,
        SMALL.stamp_iterations,
        0,
    )
    assert stamps.square().mean(dim=(1, 2, 3)).sqrt().tolist() == pytest.approx([SMALL.stamp / 255] * 2, rel=0.05)


def test_gradients_do_not_see_a_constant_that_is_added_and_taken_off_and_integrated_gradients_do(answers):
    """Kindermans et al., 2019: image times weight becomes (image + constant) times weight."""
    first = answers.numbers["pairs"][0]["methods"]
    assert first["Saliency"]["shift"] == pytest.approx(1.0)
    assert first["SmoothGrad"]["shift"] == pytest.approx(1.0)
    network, weight = Network.of(sided()), sided().module.weight[1].detach()
    image = network.normalize(photograph().image)
    for seen, by in ((network, 0.0), (shift_network(network, 0.5), 0.5)):
        expected = ((image[0] + by) * weight).sum(dim=0).clamp(min=0)
        torch.testing.assert_close(compute_heat(METHODS["Integrated Gradients"], seen, image + by, 1), expected)


def test_the_saliency_of_a_linear_model_is_its_weight_row():
    classifier = sided()
    network = Network.of(classifier)
    seen = compute_heat(METHODS["Saliency"], network, network.normalize(photograph().image), 1)
    torch.testing.assert_close(seen, classifier.module.weight[1].abs().sum(dim=0))


def test_every_method_of_captum_runs_on_a_convolutional_model_and_the_shifted_network_says_the_same():
    network = Network.of(models.colour_classifier())
    image = network.normalize(torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(shift_network(network, 0.5).module(image + 0.5), network.module(image))
    for method in METHODS.values():
        seen = compute_heat(method, network, image, 0)
        assert seen.shape == (32, 32)
        assert seen.min() >= 0
        assert seen.max() > 0


@pytest.mark.parametrize("name", METHODS)
def test_a_method_gives_the_same_heat_twice_and_leaves_the_global_generators_alone(name):
    network = Network.of(models.colour_classifier())
    image = network.normalize(torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0)))
    torch.manual_seed(7)
    np.random.seed(7)
    first = compute_heat(METHODS[name], network, image, 0)
    after = float(torch.rand(())), np.random.random()
    torch.manual_seed(7)
    np.random.seed(7)
    assert after == (float(torch.rand(())), np.random.random())
    assert torch.equal(first, compute_heat(METHODS[name], network, image, 0))


def test_grad_cam_without_feature_maps_is_one_line():
    network = Network.of(sided())
    with pytest.raises(BadInput, match="convolutional"):
        compute_heat(METHODS["Grad-CAM"], network, network.normalize(photograph().image), 0)


def test_input_agnostic_maps_of_the_linear_model_lie_outside_the_object_and_survive_the_shift():
    classifier = sided()
    concepts = [parse(name, classifier.labels) for name in SMALL.classes]
    numbers = measure_agnostic_maps(classifier, concepts, [photograph()], PRESETS["fast"],
                            replace(PRESETS["fast"], seed=1)).numbers  # fmt: skip
    assert numbers["called"] == numbers["shifted_called"] == [1.0, 1.0]
    assert max(numbers["inside"]["one"]) < 0.25  # views carry a little across


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=30))
def test_an_interval_holds_its_mean_and_clusters_of_one_change_nothing(values):
    one = estimate_mean(values)
    assert one.low - 1e-9 <= one.mean <= one.high + 1e-9
    assert one == estimate_mean(values, clusters=list(range(len(values))))


def test_differences_of_one_photograph_do_not_make_an_interval_narrower():
    values = [0.0, 1.0, 0.2, 0.7]
    apart = estimate_mean(values)
    repeated = estimate_mean(
        [value for value in values for _ in range(25)], clusters=[k for k in range(4) for _ in range(25)]
    )
    pretended = estimate_mean([value for value in values for _ in range(25)])
    assert (repeated.low, repeated.high) == pytest.approx((apart.low, apart.high))
    assert pretended.high - pretended.low < 0.5 * (repeated.high - repeated.low)


def test_an_interval_of_few_clusters_holds_the_truth_as_often_as_it_says():
    """Of six normal cases plain percentiles hold it in 88 of 100."""
    drawn = np.random.default_rng(0).normal(size=(300, 6))
    held = [one.low <= 0 <= one.high for one in (estimate_mean(list(row)) for row in drawn)]
    assert 0.90 <= np.mean(held) <= 0.98


def test_the_measures_know_simple_answers():
    ramp = torch.arange(196.0).view(14, 14)
    assert correlate_ranks(ramp, ramp.square()) == pytest.approx(1.0)
    assert correlate_ranks(ramp, -ramp) == pytest.approx(-1.0)
    assert correlate_ranks(ramp, torch.ones(14, 14)) == 0.0
    assert measure_share(half(left=True), half(left=True)) == 1.0
    assert measure_share(torch.zeros(SIDE, SIDE), half(left=True)) == 0.5
    assert effect_size([1.0, 2.0, 3.0]) == pytest.approx(2.0)
    assert estimate_auc([3.0, 4.0], [1.0, 2.0]).mean == 1.0
    assert estimate_auc([1.0, 2.0], [1.0, 2.0]).mean == 0.5
    assert format_hits([True, True, False, False]) == "2 of 4 (15% to 85%)"
    assert str(estimate_mean([])) == format_hits([]) == str(estimate_rate([])) == "–"


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=12), st.lists(st.floats(-5, 5), min_size=1, max_size=12))
def test_the_interval_of_a_separation_holds_it_is_never_a_point_and_turns_with_the_sides(one, other):
    there, back = estimate_auc(one, other), estimate_auc(other, one)
    assert 0 <= there.low <= there.mean + 1e-9 <= there.high + 2e-9 <= 1 + 3e-9
    assert there.high - there.low > 0.05
    assert (there.low, there.mean, there.high) == pytest.approx((1 - back.high, 1 - back.mean, 1 - back.low), abs=1e-6)


def test_the_interval_of_a_perfect_separation_is_as_wide_as_its_differences_are_few():
    """At an area of 1 Newcombe's equation, solved for 10 against 10 by hand, has its root near 0.80."""
    lows = [estimate_auc(range(count, 2 * count), range(count)).low for count in (3, 10, 100)]
    assert lows == sorted(lows)
    assert lows[1] == pytest.approx(0.80, abs=0.005)


def test_an_effect_size_has_the_interval_of_its_resamples_and_is_none_for_differences_all_alike():
    differences = [0.1, 0.3, 0.2, 0.4, 0.15, 0.35]
    one = estimate_effect_size(differences)
    assert one.low < one.mean < one.high
    assert one.mean == pytest.approx(effect_size(differences))
    assert estimate_effect_size([-value for value in differences]).high == pytest.approx(-one.low)
    assert str(estimate_effect_size([0.2, 0.2])) == "–"


def write_photographs(photos: Path, count: int, outlined: int) -> Path:
    """A folder of photographs, the first of them with masks."""
    photos.mkdir()
    for number in range(count):
        pixels = (photograph(seed=number).image * 255).byte().permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(photos / f"{number}.png")
        if number < outlined:
            Image.fromarray((half(left=True) * 255).byte().numpy()).save(photos / f"{number}.mask.png")
    return photos


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A whole study of the linear model: measured, told, drawn and written."""
    out = tmp_path_factory.mktemp("study")
    photos = write_photographs(out / "photos", 2, outlined=2)
    found = [measure(sided(), SMALL, out, photos, lambda part: None)]
    build_study(found, SMALL, out, "phosphene study mislead").save(out)
    write_study_report(out)
    return out


def test_a_finished_study_is_not_measured_again(folder):
    def fail(part: str) -> None:
        pytest.fail(f"{part} was made again")

    measure(sided(), SMALL, folder, folder / "photos", fail)
    remade = []
    measure(sided(), replace(SMALL, stamp=50.0), folder, folder / "photos", remade.append)
    assert "stamps" in remade


def test_the_table_says_what_was_measured(folder):
    record = json.loads((folder / "study.json").read_text())
    rows = {row["method"]: row for row in record["tables"][0]["rows"]}
    assert set(rows) == {*GRADIENTS, ALL, AGNOSTIC}
    assert (rows["Saliency"]["A, clean"], rows["Saliency"]["B, stamped"]) == ("100%", "0%")
    assert rows["Saliency"]["from before"].startswith("−1.00")
    assert rows["Saliency"]["effect"] == "0%"
    assert "to B for 4 of 4 pairs" in record["answers"][0]
    stamps, shown = record["tables"][2]["rows"], record["tables"][3]["rows"]
    assert stamps[0]["turned"].startswith("4 of 4")
    assert [(row["photograph"], row["object"], row["turned"]) for row in shown] == [
        ("0.png", "50%", "2 of 2"), ("1.png", "50%", "2 of 2")]  # fmt: skip


def test_the_excess_is_the_heat_on_the_object_less_its_yardstick_and_all_methods_are_their_mean(folder):
    found = measure(sided(), SMALL, folder, folder / "photos", lambda part: None)
    pairs = list_outlined([found])
    assert list_excess(pairs, "Saliency", "own_inside") == pytest.approx([-1.0] * 4, abs=0.02)
    assert list_excess(pairs, "Saliency", "cause_inside") == pytest.approx(
        [-one["cause_inside"] for one in pairs], abs=0.02
    )
    assert list_excess(pairs, ALL, "effect_inside") == pytest.approx(
        np.mean([list_excess(pairs, name, "effect_inside") for name in GRADIENTS], axis=0)
    )


def test_photographs_without_an_outline_take_part_in_all_but_the_object(tmp_path):
    some = [measure(sided(), SMALL, tmp_path, write_photographs(tmp_path / "some", 2, outlined=1), lambda part: None)]
    none = [measure(sided(), SMALL, tmp_path, write_photographs(tmp_path / "none", 2, outlined=0), lambda part: None)]
    assert [len(list_outlined(found)) for found in (some, none)] == [2, 0]
    assert [len(found[0].pairs) for found in (some, none)] == [4, 4]
    for found, out, figures in ((some, tmp_path / "a", 5), (none, tmp_path / "b", 4)):
        out.mkdir()
        study = build_study(found, SMALL, out, "phosphene study mislead")
        study.save(out)
        write_study_report(out)
        assert len(study.figures) == figures
        assert [row["object"] for row in study.tables[-1].rows][1] == "no outline"
    assert "On the object of A" not in [table.title for table in study.tables]


def test_where_no_stamp_works_the_page_says_so_and_nothing_breaks(tmp_path):
    weak = replace(SMALL, stamp=0.01, stamp_iterations=2)
    found = [measure(sided(), weak, tmp_path, write_photographs(tmp_path / "photos", 1, outlined=1), lambda part: None)]
    sentences = [*write_answers(found, weak), *write_reading(found, weak)]
    assert "for 0 of 2 pairs" in sentences[0]
    assert not any("nan" in sentence for sentence in sentences)
    assert build_tables(found, weak)[0].title.startswith("Asked for another")


def test_a_changed_mask_or_photograph_is_measured_again(tmp_path):
    photos = write_photographs(tmp_path / "photos", 1, outlined=1)
    measure(sided(), SMALL, tmp_path, photos, lambda part: None)
    Image.fromarray((half(left=False) * 255).byte().numpy()).save(photos / "0.mask.png")
    progress: list[str] = []
    found = measure(sided(), SMALL, tmp_path, photos, progress.append)
    assert any(part.startswith("photograph-0") for part in progress)
    assert [pair["methods"]["Saliency"]["inside"] for pair in found.pairs] == pytest.approx([1.0, 1.0], abs=0.02)


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_of_a_study_opens_in_silence_with_all_its_figures(folder, visit, scheme):
    visited = visit(folder / "report.html", PHONE, scheme)
    assert visited.complaints == []
    assert {url for url in visited.requests if not url.startswith("data:")} == {(folder / "report.html").as_uri()}
    widths = visited.page.eval_on_selector_all("img", "all => all.map(one => one.naturalWidth)")
    assert len(widths) == 5
    assert min(widths) > 0
    assert visited.page.evaluate("document.documentElement.scrollWidth") <= PHONE
    shown = visited.page.eval_on_selector_all("img", "all => all.map(one => one.getBoundingClientRect().width)")
    assert min(shown) >= 600  # a figure scrolls in its frame rather than shrink until nobody can read it


def test_the_command_that_the_page_shows_asks_for_the_same_again():
    options = {"--model": ["one", "two"], "--ask": None, "--photos": Path("my photos"), "--seed": 0}
    shown = format_command("mislead", options)
    assert shown == "phosphene study mislead --model one --model two --photos 'my photos' --seed 0"


def test_a_folder_without_a_study_or_a_figure_is_one_line(folder, tmp_path):
    with pytest.raises(ArtifactError, match=r"study\.json"):
        write_study_report(tmp_path)
    (tmp_path / "study.json").write_bytes((folder / "study.json").read_bytes())
    with pytest.raises(ArtifactError, match="figure"):
        write_study_report(tmp_path)


def test_a_damaged_part_is_made_again(tmp_path):
    parts = Parts(tmp_path, {"seed": 0})
    made = []

    def make() -> Part:
        made.append(1)
        return Part({"n": 1}, {"ramp": torch.arange(3.0)})

    parts.get("one", make)
    torch.testing.assert_close(parts.get("one", make).tensors["ramp"], torch.arange(3.0))
    assert len(made) == 1
    (tmp_path / "parts" / "one.safetensors").write_bytes(b"nothing of the kind")
    assert parts.get("one", make).numbers == {"n": 1}
    assert len(made) == 2


def test_a_folder_without_photographs_or_with_a_mask_that_says_nothing_is_one_line(tmp_path):
    with pytest.raises(BadInput, match=r"expected NAME\.jpg"):
        load_photographs(tmp_path, 32)
    Image.fromarray(np.zeros((8, 8, 3), dtype=np.uint8)).save(tmp_path / "one.png")
    for mask, words in ((np.zeros((8, 8)), "no white"), (np.full((8, 8), 255), "nothing but white"),
                        (np.full((8, 9), 255), "9×8; expected 8×8")):  # fmt: skip
        Image.fromarray(mask.astype(np.uint8)).save(tmp_path / "one.mask.png")
        with pytest.raises(BadInput, match=words):
            load_photographs(tmp_path, 32)


def test_a_photograph_is_seen_upright_and_two_of_one_stem_are_two(tmp_path):
    pixels = np.zeros((8, 8, 3), dtype=np.uint8)
    pixels[:4] = 255
    turned_once = Image.Exif()
    turned_once[0x0112] = 6  # the camera was held on its side: what is stored on top belongs to the right
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=turned_once)
    Image.fromarray(pixels).save(tmp_path / "a.bmp")
    flat, upright = load_photographs(tmp_path, 8)
    assert (flat.name, upright.name) == ("a.bmp", "a.png")
    assert flat.image[:, :4].mean() == 1
    assert upright.image[:, :, 4:].mean() == 1
    assert flat.region is None


def test_the_bundled_photographs_have_objects():
    for one in load_photographs(None, 64):
        assert one.image.shape == (3, 64, 64)
        assert 0.02 < one.region.mean() < 0.95
