"""Study 3 on tiny models, and channels as concepts."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

import models
from command import from_factory, phosphene, saved
from phosphene.errors import UnknownConcept
from phosphene.method.fidelity import measure_excitation
from phosphene.method.multires import estimate
from phosphene.model.readout import check_readable, count_channels, measure_scale, read
from phosphene.recipe.concepts import Channel
from phosphene.recipe.grammar import parse
from phosphene.recipe.recipe import PRESETS
from phosphene.report.maps import write_report
from phosphene.report.study import write_study_report
from phosphene.runs.make import make_maps
from phosphene.studies.concepts import Settings
from phosphene.studies.concepts.experiment import measure
from phosphene.studies.concepts.findings import build_study
from phosphene.studies.similarity import compare_features, split_by_concept

FAST = PRESETS["fast"]


def test_a_channel_is_read_in_deviations_from_noise(colour):
    """The output of the layer, averaged over the image, less its mean on noise, over its deviation there."""
    images = torch.rand(4, *colour.image_shape, generator=torch.Generator().manual_seed(0))
    concept = parse("body:3", colour.labels)
    with torch.no_grad():
        (got,) = read(colour, images, [concept])
        mean, deviation = measure_scale(colour, "body")
        colour.module.eval()
        stem = colour.module.stem_norm(colour.module.stem((images - 0.5) / 0.25)).relu()
        expected = (colour.module.body(stem).mean(dim=(2, 3)) - mean) / deviation
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(concept.score(got), expected[:, 3], atol=1e-4, rtol=1e-4)


def test_the_centre_is_the_neuron_in_the_middle(colour):
    images = torch.rand(2, *colour.image_shape, generator=torch.Generator().manual_seed(0))
    (got,) = read(colour, images, [parse("stem:1@center", colour.labels)])
    with torch.no_grad():
        output = colour.module.stem((images - 0.5) / 0.25)
        mean, deviation = measure_scale(colour, "stem@center")
    torch.testing.assert_close(got[:, 1], ((output[:, :, 8, 8] - mean) / deviation)[:, 1], atol=1e-4, rtol=1e-4)


def test_classes_and_channels_go_through_one_pass_together(colour):
    images = torch.rand(4, *colour.image_shape, generator=torch.Generator().manual_seed(0))
    named, channel = parse("5", colour.labels), parse("body:3", colour.labels)
    mixed = read(colour, images, [named, channel])
    torch.testing.assert_close(mixed[0], colour(images)[:2])
    torch.testing.assert_close(mixed[1], read(colour, images, [channel])[0][2:])


def test_a_map_raises_its_channel_and_the_one_alone_is_the_one_in_company(colour):
    channel = parse("body:3", colour.labels)
    *_, alone = estimate(colour, [channel], FAST)
    *_, together = estimate(colour, [parse("5", colour.labels), channel], FAST)
    assert torch.equal(alone.maps()[0], together.maps()[1])
    raised, without = measure_excitation(colour, channel, alone.maps()[0], FAST)
    assert raised > without + 2  # deviations of the channel on noise


def test_a_channel_of_the_head_pulls_as_the_class_does_in_units_of_its_deviation(colour):
    images = torch.rand(3, *colour.image_shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
    pulls = []
    for text in ("4", "head:4"):
        concept = parse(text, colour.labels)
        (outputs,) = read(colour, images, [concept])
        pulls.append(torch.autograd.grad(concept.score(outputs).sum(), images)[0])
    torch.testing.assert_close(pulls[0], pulls[1] * measure_scale(colour, "head")[1][4])


@pytest.mark.parametrize(("text", "layer", "index"), [
    ("blocks.4:37", "blocks.4", 37), ("stem:1@center", "stem@center", 1), (" body:0 ", "body", 0),
])  # fmt: skip
def test_channels_are_read_from_text(text, layer, index):
    concept = parse(text, ("one", "two"))
    assert (concept.layer, concept.targets, concept.name) == (layer, (index,), text.strip())


def test_channels_add_and_subtract_like_classes(colour):
    difference = parse("body:3 - body:5", colour.labels)
    assert difference.targets == (3,)
    rows = torch.randn(2, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(difference.score(rows), rows[:, 3] - rows[:, 5])


def test_a_class_that_looks_like_a_channel_is_the_class():
    assert parse("ratio 1:2", ("ratio 1:2", "other")).targets == (0,)
    assert not isinstance(parse("a:1", ("a:1", "other")), Channel)


@pytest.mark.parametrize(("text", "words"), [("bdy:3", "closest: body"), ("body:16", "0 to 15")])
def test_an_unknown_layer_or_channel_is_one_line_with_what_there_is(colour, text, words):
    with pytest.raises(UnknownConcept, match=words):
        check_readable(colour, parse(text, colour.labels))


def test_the_layers_of_a_model_are_listed_with_their_widths(colour, tmp_path):
    assert {name: count_channels(colour)[name] for name in ("stem", "body", "head")} == {
        "stem": 8,
        "body": 16,
        "head": 20,
    }
    weights = saved(models.colour_net(), tmp_path / "weights.safetensors")
    outcome = phosphene("list", "layers", *from_factory(weights), "--json")
    assert json.loads(outcome.out)["body"] == "16 channels"


def test_a_channel_map_is_kept_resumed_and_shown(colour, tmp_path):
    (made,) = make_maps(colour, ["body:3"], FAST, out=tmp_path)
    (again,) = make_maps(colour, ["body:3"], FAST, out=tmp_path)
    assert torch.equal(made.map, again.map)
    assert made.scores.channel.channels == (3,)
    assert made.index is None
    page = write_report(tmp_path).read_text()
    assert "body:3" in page
    assert "deviations" in page


TINY = Settings(
    models=("one", "two"), classes=("1", "2"), sets=("3, 4",), differences=("5 - 6",), channels=("body:3",),
    compared=1, signs=(0, 2), stages=(0, 5, 60), training=300,
    small_classes=("0",), small_sets=("0, 1",), small_differences=("0 - 1",), small_channels=("features.0:3",),
)  # fmt: skip


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The whole study of two tiny models, run and kept."""
    out = tmp_path_factory.mktemp("concepts")
    progress: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        for name, preset in PRESETS.items():
            patch.setitem(PRESETS, name, replace(preset, iterations=40))
        results = measure(TINY, lambda name: models.colour_classifier(), out, progress.append)
        yield out, results, progress


def test_two_models_of_the_same_weights_recognise_each_others_maps_as_their_own(study):
    _, results, _ = study
    first, second = (results.models[row].maps for row in range(2))
    for kind in first:
        for one, two in zip(first[kind], second[kind], strict=True):
            assert torch.equal(one.map, two.map)
            if kind != "channel":
                assert one.scores.opinions[0].top1 == (one.scores.top5[0].index in one.targets)


def test_what_a_difference_asks_for_is_measured_as_a_difference_of_logits_by_the_model_and_by_the_others(study):
    _, results, _ = study
    (gap,), model = results.models[0].gaps, models.colour_classifier()
    (saliency,) = results.models[0].maps["difference"]
    with torch.no_grad():
        logits = model(saliency.raw_picture[None])[0]
    assert gap["others"] == [pytest.approx((logits[5] - logits[6]).item(), abs=1e-3)]
    assert gap["with_map"] > gap["without"] + 1


def test_noise_alone_excites_a_channel_as_far_as_its_scale_says(study):
    """The scale is made of the same five kinds of noise, so their scores lie about nothing on average."""
    _, results, _ = study
    (scores,) = results.models[0].noise
    assert set(scores) == {"grey", "gaussian", "uniform", "pink", "flat"}
    assert sum(scores.values()) / 5 == pytest.approx(0.0, abs=0.7)
    assert max(scores.values()) - min(scores.values()) > 0.1  # each kind is measured for itself


def test_the_small_model_is_asked_every_kind_of_concept_and_judged_by_another(study):
    _, results, _ = study
    small = results.models[-1]
    assert {kind: len(maps) for kind, maps in small.maps.items()} == dict.fromkeys(
        ("class", "set", "difference", "channel"), 1
    )
    (sign,) = small.maps["class"]
    assert sign.scores.fidelity.probability > 0.5
    assert sign.scores.opinions[0].model == "small-1-60"  # another seed, at the last stage


def test_an_untrained_network_is_no_more_accurate_than_chance_and_training_teaches_it(study):
    _, results, _ = study
    first, *_, last = (part.numbers for part in results.stages)
    assert first["accuracy"] < 0.35 < last["accuracy"]
    assert sum(last["probability"]) > sum(first["probability"])


def test_two_models_of_the_same_weights_make_maps_that_look_the_same_and_two_classes_do_not(study):
    _, results, _ = study
    (row,) = results.sizes
    assert row["models"] == ["one", "two"]
    assert row["same"] == pytest.approx([1.0, 1.0])
    assert max(row["different"]) < 0.95


def test_maps_of_a_stage_are_compared_with_those_of_the_end(study):
    _, results, _ = study
    first, *_, last = (part.numbers["to_the_end"]["same"] for part in results.stages)
    assert last == pytest.approx([1.0, 1.0])
    assert max(first) < 0.99


def test_similarities_are_split_into_those_of_the_same_concept_and_of_the_others():
    result = split_by_concept(torch.tensor([[1.0, 0.6, 0.2], [0.0, 0.8, 0.4], [0.1, 0.3, 0.5]]))
    assert result["same"] == pytest.approx([1.0, 0.8, 0.5])
    assert result["different"] == pytest.approx([0.4, 0.2, 0.2])


def test_a_picture_is_most_similar_to_itself(colour):
    pictures = torch.rand(3, *colour.image_shape, generator=torch.Generator().manual_seed(0))
    matrix = compare_features(pictures, pictures, [colour])
    assert matrix.diagonal().tolist() == pytest.approx([1.0] * 3)
    assert matrix.argmax(dim=1).tolist() == [0, 1, 2]


def test_the_papers_preset_is_asked_of_every_model_for_the_first_classes(study):
    _, results, _ = study
    for one in results.models:
        both = one.by_preset()
        assert [[saliency.concept for saliency in maps] for maps in both.values()] == [[one.paper[0].concept]] * 2
        assert both["paper"][0].recipe["geometry"] != both["default"][0].recipe["geometry"]


def test_a_finished_study_is_not_made_again_and_its_page_opens(study, visit):
    out, _, progress = study
    assert (
        len(progress) == 2 * (5 + 1 + 1) + (4 + 1 + 1) + 2 + 3
    )  # maps, the paper's and numbers a model; networks, stages
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}
    results = measure(TINY, lambda name: models.colour_classifier(), out, lambda part: None)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")} == before
    build_study(results, TINY, out, "phosphene study concepts").save(out)
    visited = visit(write_study_report(out))
    assert visited.complaints == []
    widths = visited.page.eval_on_selector_all("img", "all => all.map(one => one.naturalWidth)")
    assert len(widths) == 7
    assert min(widths) > 0
