"""Study 2 on models that provably use only the watermark, or provably ignore it."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import models
from command import phosphene
from phosphene.errors import BadInput
from phosphene.model.classifier import Classifier
from phosphene.model.input_format import InputFormat
from phosphene.recipe.recipe import PRESETS
from phosphene.recipe.views import STILL
from phosphene.studies.bias import Settings
from phosphene.studies.bias.experiment import choose_recipe, explain
from phosphene.studies.bias.explanations import BY_EXAMPLES, Question
from phosphene.studies.bias.findings import build_study
from phosphene.studies.folder import Part, Study
from phosphene.studies.small_models import Examples, add_mark, load_fashion, load_signs, make_mark_region, train
from phosphene.studies.words import AGNOSTIC

SIDE = 28
FULL = 1 / float(make_mark_region(SIDE).mean())  # all of a heat map in the region, as a multiple of its share


def linear(uses: bool, seed: int = 0) -> Classifier:
    """Class 0 is decided by the watermark's region alone, or by everything but it; the others by noise elsewhere."""
    region = make_mark_region(SIDE)
    weight = 0.02 * torch.randn(3, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))
    weight *= 1 - region
    if uses:
        weight[0] = (add_mark(torch.zeros(1, 1, SIDE, SIDE))[0] - 0.5) * region  # what the mark lights up, exactly
    form = InputFormat((SIDE, SIDE), 1, (0.5,), (0.25,))
    return Classifier(models.Linear(weight), form, name="linear", labels=("0", "1", "2"))


def explain_linear(uses: bool, seed: int = 0) -> Part:
    generator = torch.Generator().manual_seed(seed + 10)
    images, others = (torch.rand(20, 1, SIDE, SIDE, generator=generator) for _ in range(2))
    question = Question(linear(uses, seed), 0, {"clean": images, "watermarked": add_mark(images)}, others)
    return explain(question, choose_recipe(Settings(preset="fast")))


@pytest.fixture(scope="module")
def uses() -> Part:
    return explain_linear(uses=True)


@pytest.fixture(scope="module")
def ignores() -> Part:
    return explain_linear(uses=False)


def test_of_a_model_that_uses_only_the_watermark_the_map_shows_nothing_else(uses):
    for example_set in ("clean", "watermarked"):
        assert (
            uses.numbers["shown"][f"{AGNOSTIC}/{example_set}"] > 0.6 * FULL
        )  # the blur of the evidence reaches across


def test_of_a_model_that_ignores_the_watermark_the_map_shows_none_of_it(ignores):
    for example_set in ("clean", "watermarked"):
        assert ignores.numbers["shown"][f"{AGNOSTIC}/{example_set}"] < 1.0


def test_integrated_gradients_are_zero_where_the_model_is_blind_whatever_the_set(uses, ignores):
    name = "mean Integrated Gradients"
    assert ignores.numbers["shown"][f"{name}/watermarked"] == 0.0
    assert uses.numbers["shown"][f"{name}/watermarked"] == pytest.approx(FULL)


def test_explanations_by_examples_invent_a_watermark_that_the_model_ignores(ignores):
    assert ignores.numbers["shown"]["most-activating images/watermarked"] > 3
    assert ignores.numbers["shown"]["CAV/watermarked"] > 3
    assert ignores.numbers["shown"]["most-activating images/clean"] < 3


@pytest.fixture(scope="module")
def study_of_four(tmp_path_factory) -> Study:
    """The study of two linear models of each kind."""
    known = {"class": "0", "accuracy": 1.0, "own_marked": 1.0}
    parts = [Part(part.numbers | known | {"kind": kind, "fooled_by_mark": float(kind == "uses"),
                                          "own_clean": float(kind == "ignores")}, part.tensors)
             for kind in ("uses", "ignores") for part in (explain_linear(kind == "uses", seed) for seed in range(2))]  # fmt: skip
    return build_study(parts, Settings(), tmp_path_factory.mktemp("bias"), "phosphene study bias")


def test_the_heat_of_the_map_separates_the_kinds_of_models(study_of_four):
    rows = {row["explanation"]: row for row in study_of_four.tables[0].rows}
    assert set(rows) == {*BY_EXAMPLES, AGNOSTIC}
    assert rows[AGNOSTIC]["AUC, misleading sets"].startswith("1.00 (0.")
    assert rows["most-activating images"]["AUC, misleading sets"].startswith("0.00 (0.00 to 0.")
    assert study_of_four.answers[0].startswith(
        "2 models use the watermark: they predict the class for 0% of its images without it and 100% with it, and for 100% of"
    )


def test_the_command_trains_explains_and_writes_the_page_and_goes_on_where_it_stopped(tmp_path):
    command = ("study", "bias", "--models", 2, "--training", 300, "--out", tmp_path, "--json")
    outcome = phosphene(*command)
    assert outcome.code == 0, outcome.err
    record = json.loads(outcome.out)
    assert Path(record["page"]).is_file()
    command_shown = json.loads((tmp_path / "study.json").read_text())["command"]
    assert command_shown == "phosphene study bias --data signs --models 2 --training 300 --seed 0"
    parts = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "parts").iterdir()}
    assert len(parts) == 4
    assert phosphene(*command).code == 0
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "parts").iterdir()} == parts


def test_training_is_the_same_twice_and_starts_untrained():
    examples = load_signs(100, None)
    one, two = ([{k: v.clone() for k, v in m.state_dict().items()} for _, m in train(examples, 3, epochs=1)]
                for _ in range(2))  # fmt: skip
    assert len(one) == 1 + 100 // 50
    for first, second in zip(one, two, strict=True):
        assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(one[0]["head.weight"], one[-1]["head.weight"])


def test_the_mark_is_where_the_region_says():
    images = torch.full((2, 3, 30, 30), 0.3)
    changed = (add_mark(images) != images).any(dim=1)
    assert torch.equal(changed[0], make_mark_region(30).bool())


def test_fashion_mnist_is_read_from_its_original_files(tmp_path):
    pixels = torch.arange(2 * 28 * 28, dtype=torch.int64) % 256
    content = bytes(16) + bytes(pixels.tolist())
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(content))
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(bytes(8) + bytes([3, 9])))
    examples: Examples = load_fashion(2, tmp_path)
    assert examples.labels.tolist() == [3, 9]
    torch.testing.assert_close(examples.images.flatten() * 255, pixels.float())


def test_fashion_mnist_without_its_folder_or_files_is_one_line(tmp_path):
    for options in ((), ("--data-folder", tmp_path)):
        outcome = phosphene("study", "bias", "--data", "fashion", *options, "--out", tmp_path / "out")
        assert outcome.code == 2
        assert outcome.err.count("\n") == 1
    assert "train-images" in outcome.err


def test_wrong_options_are_refused_before_anything_is_trained(tmp_path):
    (tmp_path / "file").write_text("")
    cases = [
        (("study", "bias", "--data-folder", tmp_path), "--data fashion"),
        (("study", "bias", "--out", tmp_path / "file" / "study"), "cannot write"),
        (("study", "bias", "--data", "photographs"), "signs, fashion"),
        (("study", "mislead", "--photos", tmp_path / "nowhere", "--out", tmp_path / "a"), "expected NAME.jpg"),
        (("study", "mislead", "--ask", "goldfsh", "--out", tmp_path / "b"), "goldfish"),
        (("study", "concepts", "--model", "efficientnet_lite9", "--out", tmp_path / "c"), "efficientnet_lite0"),
    ]
    for command, words in cases:
        outcome = phosphene(*command)
        assert (outcome.code, outcome.err.count("\n")) == (2, 1), outcome.err
        assert words in outcome.err


def test_fashion_mnist_that_is_too_small_for_the_training_is_one_line(tmp_path):
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(bytes(16 + 28 * 28)))
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(bytes(8 + 1)))
    with pytest.raises(BadInput, match="has 1 images; expected at least the 2"):
        load_fashion(2, tmp_path)


def test_the_rates_of_showing_and_inventing_are_counted_by_model_and_set(study_of_four):
    rows = {row["explanation"]: row for row in study_of_four.tables[0].rows}
    assert rows[AGNOSTIC]["shows it, clean set"].startswith("2 of 2")
    assert rows[AGNOSTIC]["invents it, watermarked set"].startswith("0 of 2")
    assert rows["most-activating images"]["invents it, watermarked set"].startswith("2 of 2")
    assert rows["mean Integrated Gradients"]["invents it, watermarked set"].startswith("0 of 2")
    assert "mean Integrated Gradients for 0 of 2" in study_of_four.reading[2]


def test_maps_of_the_study_have_neither_views_nor_restarts():
    recipe = choose_recipe(Settings(seed=3))
    assert recipe == replace(PRESETS["default"], views=STILL, seed=3, restarts=1, coarse=0.0)
    assert recipe.views.draw(torch.Generator(), 1) is None
