"""The evidence of a folder: made, stored, resumed, averaged, printed and shown."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import models
from browser import DESKTOP, PHONE
from command import finished_maps, from_factory, phosphene, saved
from phosphene.errors import ArtifactError, BadInput
from phosphene.evidence import SUMMARY, Settings, Watcher, evaluate
from phosphene.evidence.layers import layers_from_the_top
from phosphene.evidence.measures import MEASURES
from phosphene.evidence.randomised import STAGES, forgetful
from phosphene.evidence.summary import SUMMARIES
from phosphene.evidence.tables import OF_MAP, TABLES, of_map, percent, tables
from phosphene.evidence.wording import MEANINGS
from phosphene.model.classifier import Classifier
from phosphene.recipe.recipe import Recipe
from phosphene.report import write_report
from phosphene.runs.make import make_maps
from phosphene.runs.saliency import TENSORS, SaliencyMap

RECIPE = Recipe(iterations=6)
FULL = Settings(samples=3, sanity=1, seeds=1)


def witness() -> Classifier:
    """Another network with the same classes."""
    module = models.ConvNet(channels=3, outputs=20, seed=1)
    return Classifier(module, models.colour_classifier().format, name="witness")


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("maps")
    make_maps(models.colour_classifier(), ["1", "2", "3"], RECIPE, out=folder)
    return folder


@pytest.fixture
def folder(original, tmp_path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "maps"))


@pytest.fixture(scope="module")
def whole(original, tmp_path_factory) -> tuple[Path, dict[str, Any]]:
    """A folder with every score."""
    folder = Path(shutil.copytree(original, tmp_path_factory.mktemp("whole") / "maps"))
    return folder, evaluate(folder, models.colour_classifier(), verifiers=[witness()], settings=FULL)


def test_every_score_is_measured_averaged_explained_and_shown():
    assert {*MEASURES, "sanity", "stability"} == set(SUMMARIES) == set(TABLES) == set(MEANINGS)
    assert set(OF_MAP) == set(MEANINGS) - {"entanglement"}  # which is of two maps


def test_each_map_and_the_run_hold_every_score(whole):
    folder, record = whole
    assert set(record["scores"]) == set(MEANINGS)
    assert json.loads((folder / SUMMARY).read_text()) == record
    for number, entry in enumerate(record["maps"]):
        evidence = SaliencyMap.load(folder / entry["file"]).scores.evidence
        assert set(MEASURES) | {"stability"} <= set(evidence)
        assert ("sanity" in evidence) == (number == 0)
        assert evidence["digest"] == entry["digest"]


def test_tensors_and_other_scores_stay_as_they_were(whole, original):
    for path in original.glob("*.safetensors"):
        before, after = SaliencyMap.load(path), SaliencyMap.load(whole[0] / path.name)
        assert all(torch.equal(getattr(before, name), getattr(after, name)) for name in TENSORS)
        scores = dict(after.scores)
        del scores.evidence
        assert scores == before.scores
        assert after.identity() == before.identity()


def test_a_second_run_measures_nothing_and_says_the_same(whole):
    folder, record = whole
    before = finished_maps(folder)
    assert evaluate(folder, models.colour_classifier(), verifiers=[witness()], settings=FULL) == record
    assert finished_maps(folder) == before


def test_scores_that_made_maps_again_are_kept_without_asking_for_them_anew(whole, tmp_path):
    folder = Path(shutil.copytree(whole[0], tmp_path / "maps"))
    again = evaluate(folder, models.colour_classifier(), verifiers=[witness()], settings=Settings(samples=3))
    assert again["scores"] == whole[1]["scores"]


def test_an_interrupted_run_goes_on_where_it_stopped(folder):
    def interrupt(concept: str, place: int, total: int) -> None:
        if place == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(folder, models.colour_classifier(), settings=Settings(samples=2), watcher=Watcher(examined=interrupt))
    assert not (folder / SUMMARY).exists()
    first = finished_maps(folder)["1.safetensors"]
    assert "evidence" in SaliencyMap.load(folder / "1.safetensors").scores
    evaluate(folder, models.colour_classifier(), settings=Settings(samples=2))
    assert finished_maps(folder)["1.safetensors"] == first


def test_other_settings_measure_again_only_what_depends_on_them(folder):
    evaluate(folder, models.colour_classifier(), settings=Settings(samples=2))
    before = SaliencyMap.load(folder / "1.safetensors").scores.evidence
    evaluate(folder, models.colour_classifier(), settings=Settings(samples=3))
    after = SaliencyMap.load(folder / "1.safetensors").scores.evidence
    changed = {name for name in MEASURES if before.get(name) != after.get(name)}
    assert changed == {"agnosticity", "gain", "entanglement", "refinement"}


def test_some_of_the_maps_may_be_asked_for(folder):
    record = evaluate(folder, models.colour_classifier(), concepts=["3", "1"], settings=Settings(samples=2))
    assert record["scores"]["entanglement"]["concepts"] == ["3", "1"]
    assert "evidence" not in SaliencyMap.load(folder / "2.safetensors").scores


def test_a_single_map_has_what_needs_no_company(folder):
    record = evaluate(folder, models.colour_classifier(), concepts=["3"], settings=Settings(samples=2))
    assert set(record["scores"]) == {"agnosticity", "gain", "complexity", "refinement"}


def test_maps_of_another_model_are_refused(folder):
    with pytest.raises(BadInput, match="give the model that made it"):
        evaluate(folder, witness())


def test_maps_of_two_recipes_have_no_average(folder):
    make_maps(models.colour_classifier(), ["4"], replace(RECIPE, seed=9), out=folder)
    with pytest.raises(BadInput, match="different recipes"):
        evaluate(folder, models.colour_classifier())


def test_a_verifier_of_other_classes_is_refused(folder):
    with pytest.raises(BadInput, match="cannot verify"):
        evaluate(folder, models.colour_classifier(), verifiers=[models.linear_classifier()])


def test_a_concept_without_a_map_is_named(folder):
    with pytest.raises(BadInput, match="no map of 7"):
        evaluate(folder, models.colour_classifier(), concepts=["7"])


@pytest.mark.parametrize("wrong", [{"samples": 0}, {"sanity": -1}, {"seeds": -1}])
def test_settings_that_measure_nothing_are_refused(wrong):
    with pytest.raises(BadInput, match="expected at least"):
        Settings(**wrong)


def test_the_map_of_a_model_that_forgot_everything_is_another(whole):
    stages = whole[1]["scores"]["sanity"]["stages"]
    assert list(stages) == list(STAGES)
    made_in = SaliencyMap.load(whole[0] / "1.safetensors").scores.evidence["sanity"]["made_in"]
    trained, untrained = (SaliencyMap.load(path) for path in
                          (whole[0] / "1.safetensors", whole[0] / made_in / "untrained" / "1.safetensors"))  # fmt: skip
    assert models.cosine(trained.map, untrained.map) < 0.9
    assert untrained.model.name == "colour, untrained"


def test_stages_forget_from_the_output_towards_the_image():
    classifier = models.colour_classifier()
    assert layers_from_the_top(classifier) == ["head", "body_norm", "body", "stem_norm", "stem"]
    kept = {}
    for stage in STAGES:
        forgot = forgetful(classifier, stage, RECIPE).module.state_dict()
        kept[stage] = {name for name, tensor in classifier.module.state_dict().items()
                       if name.endswith("weight") and torch.equal(tensor, forgot[name])}  # fmt: skip
    layers = ["body.weight", "stem_norm.weight", "stem.weight"]
    assert kept["head"] == {"body_norm.weight", *layers}
    assert kept["top third"] == set(layers)
    assert kept["top two thirds"] == {"stem.weight"}
    assert kept["untrained"] == set()


def test_forgetting_leaves_the_model_alone_and_is_the_same_every_time():
    classifier = models.colour_classifier()
    before = {name: tensor.clone() for name, tensor in classifier.module.state_dict().items()}
    first, second = (forgetful(classifier, "untrained", RECIPE).fingerprint for _ in range(2))
    assert first == second != classifier.fingerprint
    assert all(torch.equal(tensor, before[name]) for name, tensor in classifier.module.state_dict().items())


def test_an_untrained_network_is_not_silent():
    """Its batch norms know the distribution, so that its answers differ between images."""
    classifier = models.colour_classifier()
    untrained = forgetful(classifier, "untrained", RECIPE)
    draws = RECIPE.distribution.draw(torch.Generator().manual_seed(0), 8, classifier.image_shape)
    assert untrained(draws).std(dim=0).min() > 1e-3


def test_a_layer_without_a_start_of_its_own_is_shuffled():
    linear = models.linear_classifier()
    forgot = forgetful(linear, "untrained", RECIPE)
    assert not torch.equal(forgot.module.weight, linear.module.weight)
    torch.testing.assert_close(
        forgot.module.weight.flatten().sort().values, linear.module.weight.flatten().sort().values
    )


def test_tables_say_what_the_record_says(whole):
    _, record = whole
    shown = tables(record)
    (row,) = shown["recognition"].rows
    assert (row[0].text, row[1].value) == ("witness", record["scores"]["recognition"]["verifiers"][0]["top1"]["value"])
    for table in shown.values():
        assert all(len(row) == len(table.header) for row in table.rows)
    evidence = SaliencyMap.load(whole[0] / "1.safetensors").scores.evidence
    assert {row[0].text for row in of_map(evidence).rows} >= {"recognised by witness", "top-1 on photographs"}


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0%"), (1, "100%"), (0.5, "50.0%"), (0.9999, ">99.9%"), (1e-4, "<0.1%")]
)
def test_only_none_and_all_are_called_so(share, text):
    assert percent(share) == text


def test_the_report_shows_the_scores_with_their_sentences(whole):
    text = write_report(whole[0]).read_text().replace("&#39;", "'")
    for meaning in MEANINGS.values():
        assert all(words in text for words in (meaning.title, meaning.asks, meaning.good, meaning.bad))
    assert "1: trained, last layer" in text
    assert text.count('class="measured-evidence"') == 3


def test_the_report_does_not_show_scores_of_maps_that_are_gone(whole, tmp_path):
    folder = Path(shutil.copytree(whole[0], tmp_path / "maps"))
    make_maps(models.colour_classifier(), ["2"], replace(RECIPE, seed=5), out=folder, overwrite=True)
    text = write_report(folder).read_text()
    assert "Outdated." in text
    assert MEANINGS["gain"].good not in text


def test_a_broken_summary_is_told_in_one_line(folder):
    (folder / SUMMARY).write_text("{")
    with pytest.raises(ArtifactError, match="phosphene evaluate"):
        write_report(folder)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> tuple[object, ...]:
    return from_factory(saved(models.colour_net(), tmp_path_factory.mktemp("weights") / "colour.safetensors"))


def test_the_command_evaluates_a_folder(folder, tiny):
    told = phosphene("evaluate", folder, "--samples", 2, *tiny)
    assert told.code == 0
    assert MEANINGS["agnosticity"].title in told.out
    assert "evidence of 3 maps" in told.out
    record = json.loads(phosphene("evaluate", folder, "--samples", 2, "--json", *tiny).out)
    assert set(record["scores"]) == set(MEANINGS) - {"recognition", "sanity", "stability"}
    assert set(record["maps"][0]["evidence"]) >= {"gain", "complexity"}


def test_show_prints_what_was_measured(whole):
    told = phosphene("show", whole[0] / "1.safetensors").out
    assert "recognised by witness" in told
    assert "top-1 on photographs" in told


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(PHONE, "light"), (DESKTOP, "dark")])
def test_the_evidence_opens_in_silence_and_fits_the_screen(whole, visit, width, scheme):
    path = write_report(whole[0])
    visited = visit(path, width, scheme)
    assert visited.complaints == []
    assert {url for url in visited.requests if not url.startswith("data:")} == {path.as_uri()}
    assert visited.page.evaluate("document.documentElement.scrollWidth") <= width
    assert visited.page.locator(".score").count() == len(MEANINGS)
    assert visited.page.locator(".matrix tbody td").count() == 9
    assert visited.page.locator(".curves polyline").count() == 3


def test_the_command_makes_maps_first_where_it_is_given_concepts(tmp_path, tiny):
    out = tmp_path / "out"
    told = phosphene("evaluate", "3", "--preset", "fast", "--samples", 2, "--out", out, *tiny)
    assert told.code == 0
    assert "evidence" in SaliencyMap.load(out / "3.safetensors").scores


@pytest.mark.parametrize(
    ("arguments", "told"), [(("nowhere",), "no folder 'nowhere'"), (("nowhere", "--samples", 0), "samples is 0")]
)
def test_what_the_command_cannot_do_is_told_in_one_line(arguments, told):
    result = phosphene("evaluate", *arguments)
    assert result.code == 2
    assert told in result.err
    assert len(result.err.strip().splitlines()) == 1
