"""Two models compared: models whose differences are known, the record, the command and its page."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

import models
from browser import PHONE
from command import FORMAT, phosphene, saved
from phosphene.cli.diff import OtherSource, choose_concepts, split_names
from phosphene.cli.options import Source
from phosphene.core.intervals import welch
from phosphene.diff.comparison import compare
from phosphene.diff.record import FILE, Comparison
from phosphene.errors import ArtifactError, BadInput, UnknownConcept
from phosphene.model.classifier import Classifier
from phosphene.recipe.recipe import Recipe
from phosphene.report.diff import write_diff_report
from phosphene.runs.callbacks import Callbacks

QUICK = Recipe(iterations=10)
LABELS = ("cat", "dog", "owl", "fox")


def linear(seed=0, **changes):
    return models.linear_classifier((3, 8, 8), seed=seed).replace(**{"labels": LABELS, **changes})


def with_row(index, seed=7):
    """The linear model with another row of weights for one class."""
    weight = linear().module.weight.detach().clone()
    weight[index] = torch.randn(weight[index].shape, generator=torch.Generator().manual_seed(seed))
    return models.linear_classifier(weight=weight).replace(labels=LABELS, name="changed")


def ask(model_a, model_b, out, concepts=LABELS, **options):
    return compare(model_a, model_b, list(concepts), QUICK, out=out, **{"seeds": 3, **options})


def test_a_model_beside_itself_has_not_changed(tmp_path):
    comparison = ask(linear(), linear(), tmp_path)
    assert {(one.change, one.low, one.high, one.changed) for one in comparison.concepts} == {(0, 0, 0, False)}


def test_the_class_whose_weights_were_replaced_comes_first(tmp_path):
    comparison = ask(linear(), with_row(2), tmp_path)
    first, *others = comparison.concepts
    assert first.concept == "owl"
    assert first.changed
    assert first.low > 5 * max(abs(one.change) for one in others)
    for one in first.pictures:
        assert (one.by_a.score > one.by_b.score) == (one.model == "a")


def test_scale_and_offset_of_the_outputs_are_no_change(tmp_path):
    """The same model with logits three times as large and moved is as pleased as before, in units of its noise."""
    weight, bias = 3 * linear().module.weight.detach(), torch.tensor([5.0, -2.0, 1.0, 0.0])
    other = models.linear_classifier(weight=weight).replace(module=models.Linear(weight, bias), labels=LABELS)
    comparison = ask(linear(), other, tmp_path)
    assert comparison.noise_b == pytest.approx(3 * comparison.noise_a, rel=0.05)
    assert all(abs(one.change) < 0.2 and not one.changed for one in comparison.concepts)


def test_a_class_is_found_by_its_name_where_the_other_model_has_another_order(tmp_path):
    order = [3, 2, 1, 0]
    weight = linear().module.weight.detach()[order]
    other = models.linear_classifier(weight=weight).replace(labels=tuple(LABELS[k] for k in order))
    comparison = ask(linear(), other, tmp_path, ["index:0", "owl - dog"])
    assert {one.concept for one in comparison.concepts} == {"cat", "owl - dog"}
    assert all(picture.by_b.seen for one in comparison.concepts for picture in one.pictures if picture.model == "a")


def test_a_channel_that_both_have_is_compared(tmp_path, colour):
    comparison = ask(colour, Classifier(models.ConvNet(3, 20, seed=1), colour.format), tmp_path, ["body:3"], seeds=2)
    (change,) = comparison.concepts
    assert (len(change.pictures), change.pictures[0].by_a.probability) == (4, 0)  # of a channel: active or not
    assert change.change > 1


@pytest.mark.parametrize(
    ("other", "concepts", "options", "error", "words"),
    [
        (lambda: linear(), LABELS, {"seeds": 1}, BadInput, "at least 2"),
        (lambda: models.linear_classifier((1, 8, 8)), LABELS, {}, BadInput, "1"),
        (lambda: linear(labels=("cat", "cow", "owl", "fox")), ("dog",), {}, UnknownConcept, "'dog'"),
        (lambda: linear(), ("wolf",), {}, UnknownConcept, "'wolf'"),
        (lambda: linear(), (), {}, BadInput, "no concept given"),
    ],
    ids=["seeds", "channels", "unknown-to-b", "unknown", "none"],
)
def test_what_cannot_be_compared_is_refused(tmp_path, other, concepts, options, error, words):
    with pytest.raises(error, match=words):
        ask(linear(), other(), tmp_path, concepts, **options)


def test_finished_maps_are_kept(tmp_path):
    missing = []
    first = ask(linear(), with_row(2), tmp_path)
    again = ask(linear(), with_row(2), tmp_path, callbacks=Callbacks(on_start=lambda maps, _: missing.append(maps)))
    assert missing == [0] * 6
    assert again == first == Comparison.load(tmp_path)


def test_a_damaged_record_is_refused_in_one_line(tmp_path):
    with pytest.raises(ArtifactError, match="phosphene diff"):
        Comparison.load(tmp_path)
    record = ask(linear(), with_row(2), tmp_path, ["owl"]).to_json()
    for damaged in ("{", json.dumps({**record, "seeds": "four"}), json.dumps({**record, "format": 99})):
        (tmp_path / FILE).write_text(damaged)
        with pytest.raises(ArtifactError) as raised:
            write_diff_report(tmp_path)
        assert "\n" not in str(raised.value)


def test_welchs_interval_is_the_one_of_the_book():
    """Two samples of 4: difference 2, standard error sqrt(5/3/4 · 2), 6 degrees of freedom: t = 2.4469."""
    low, high = welch([3, 4, 5, 6], [1, 2, 3, 4])
    assert (low, high) == pytest.approx((2 - 2.4469 * 0.91287, 2 + 2.4469 * 0.91287), abs=1e-3)
    assert welch([1, 1], [3, 3]) == (-2, -2)


@pytest.mark.parametrize(
    ("names", "source", "other", "expected"),
    [
        (["a", "b", "cat"], Source(), OtherSource(), (("a", "b"), ["cat"])),
        (["cat"], Source(factory="f:g"), OtherSource(weights_b="w"), ((None, None), ["cat"])),
        (["a", "cat"], Source(), OtherSource(factory_b="f:g", weights_b="w"), (("a", None), ["cat"])),
        (["a"], Source(), OtherSource(), "expected 2 models"),
        (["cat"], Source(factory="f:g"), OtherSource(), "--weights-b"),
    ],
)
def test_models_stand_before_concepts_unless_a_factory_builds_them(names, source, other, expected):
    if isinstance(expected, str):
        with pytest.raises(BadInput, match=expected):
            split_names(names, source, other)
    else:
        assert split_names(names, source, other) == expected


def test_model_b_is_as_a_but_for_its_weights_and_what_is_said_of_it():
    source = replace(Source(), weights="a.st", size=32, mean="0.5")
    completed = OtherSource(mean_b="0.1").complete(source)
    assert (completed.weights, completed.size, completed.mean) == (None, 32, "0.1")
    assert OtherSource(weights_b="b.st").complete(source).weights == "b.st"


def test_all_classes_or_those_that_are_named():
    assert choose_concepts([], LABELS, True) == [f"index:{k}" for k in range(4)]
    for asked, every in (([], False), (["cat"], True)):
        with pytest.raises(BadInput, match="--all"):
            choose_concepts(asked, LABELS, every)


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """The outcome of the command on two small networks, and its folder."""
    folder = tmp_path_factory.mktemp("diff")
    other = models.colour_net()
    nn.init.normal_(other.head.weight[7].data, std=5.0)
    files = [saved(net, folder / f"{name}.safetensors") for name, net in (("a", models.colour_net()), ("b", other))]
    arguments = ["--factory", "models:colour_net", "--weights", files[0], "--weights-b", files[1], *FORMAT]
    outcome = phosphene("diff", "7", "2", *arguments, "--iterations", 8, "--seeds", 2, "--out", folder / "out")
    return outcome, folder / "out"


def test_the_command_ranks_and_writes_record_and_page(compared):
    outcome, folder = compared
    assert outcome.code == 0, outcome.err
    first, second, said = outcome.out.splitlines()
    assert first.split()[0] == "7"
    assert second.split()[0] == "2"
    assert "of 2 concepts changed" in said
    page = (folder / "report.html").read_text()
    assert page.count("<figure>") == 8
    assert json.loads((folder / FILE).read_text())["concepts"][0]["concept"] == "7"
    (folder / "report.html").unlink()
    assert phosphene("report", folder).code == 0
    assert (folder / "report.html").read_text() == page


@pytest.mark.browser
@pytest.mark.parametrize("width", [PHONE, 1280])
def test_the_page_fits_the_screen_and_asks_for_nothing(compared, visit, width):
    visited = visit(compared[1] / "report.html", width)
    assert visited.page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert visited.requests == [(compared[1] / "report.html").as_uri()] or not [
        one for one in visited.requests if not one.startswith(("file:", "data:"))
    ]
    assert not visited.complaints
