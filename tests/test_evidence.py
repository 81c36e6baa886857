"""The evidence of a folder: made, stored, resumed, averaged, printed and shown."""

from __future__ import annotations

import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

import models
from browser import DESKTOP, PHONE
from command import finished_maps, from_factory, phosphene, saved
from phosphene.core.records import from_plain, seal
from phosphene.errors import ArtifactError, BadInput
from phosphene.evidence.evaluation import evaluate
from phosphene.evidence.layers import find_layers
from phosphene.evidence.measure import MapMeasure, RunMeasure
from phosphene.evidence.measures.registry import MEASURES
from phosphene.evidence.randomization import STAGES, randomize_layers
from phosphene.evidence.results import FILE_NAME, Evaluation, load_evaluation, make_map_table, make_results, to_json
from phosphene.evidence.settings import EvaluationCallbacks, Settings
from phosphene.evidence.table import format_share
from phosphene.model.classifier import Classifier
from phosphene.model.input_format import InputFormat
from phosphene.recipe.recipe import Recipe
from phosphene.report import write_report
from phosphene.runs.make import make_maps
from phosphene.runs.saliency import TENSORS, SaliencyMap
from phosphene.runs.store import identity_of

RECIPE = Recipe(iterations=6)
FULL = Settings(samples=3, sanity=1, seeds=1)
OF_0_1 = (
    Path(__file__).parent / "data" / "0.1" / "evidence"
)  # maps of two of `tiny_classifier`'s classes, evaluated by version 0.1
MADE_AGAIN = {key for key, measure in MEASURES.items() if isinstance(measure, RunMeasure)}


def verifier() -> Classifier:
    """Another network with the same classes."""
    module = models.ConvNet(channels=3, outputs=20, seed=1)
    return Classifier(module, models.colour_classifier().format, name="verifier")


def tiny_classifier() -> Classifier:
    return Classifier(models.colour_net(), InputFormat((12, 12), 3, (0.5,), (0.25,)), name="colour")


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("maps")
    make_maps(models.colour_classifier(), ["1", "2", "3"], RECIPE, out=folder)
    return folder


@pytest.fixture
def folder(original, tmp_path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "maps"))


@pytest.fixture(scope="module")
def whole(original, tmp_path_factory) -> tuple[Path, Evaluation]:
    """A folder with every score."""
    folder = Path(shutil.copytree(original, tmp_path_factory.mktemp("whole") / "maps"))
    return folder, evaluate(folder, models.colour_classifier(), verifiers=[verifier()], settings=FULL)


@pytest.mark.parametrize("key", MEASURES)
def test_a_measure_is_registered_under_its_key_and_explained(key):
    measure = MEASURES[key]
    assert measure.key == key
    assert isinstance(measure, MapMeasure) != isinstance(measure, RunMeasure)
    assert all(len(words) > 5 for words in (measure.title, measure.question, measure.good, measure.bad))
    assert set(measure.needs) <= {"samples", "verifiers", "feature_extractors", "maps", "photographs"}


@pytest.mark.parametrize("key", MEASURES)
def test_what_is_stored_of_a_score_is_read_back_whole(key, whole):
    folder, evaluation = whole
    measure = MEASURES[key]
    entry = dict(SaliencyMap.load(folder / "1.safetensors").scores.evidence[key])
    del entry["needs"]
    summary = evaluation.scores[key]
    assert to_json(from_plain(measure.score_type, entry)) == entry
    assert to_json(from_plain(measure.summary_type, summary)) == summary


def test_each_map_and_the_run_hold_every_score(whole):
    folder, evaluation = whole
    assert set(evaluation.scores) == set(MEASURES)
    assert load_evaluation(folder) == evaluation
    for number, entry in enumerate(evaluation.maps):
        evidence = SaliencyMap.load(folder / entry.file).scores.evidence
        assert set(MEASURES) - {"sanity"} <= set(evidence)
        assert ("sanity" in evidence) == (number == 0)
        assert evidence["digest"] == entry.digest


def test_tensors_and_other_scores_stay_as_they_were(whole, original):
    for path in original.glob("*.safetensors"):
        before, after = SaliencyMap.load(path), SaliencyMap.load(whole[0] / path.name)
        assert all(torch.equal(getattr(before, name), getattr(after, name)) for name in TENSORS)
        assert replace(after.scores, evidence={}) == before.scores
        assert identity_of(after) == identity_of(before)


def test_a_second_run_measures_nothing_and_says_the_same(whole):
    folder, evaluation = whole
    before = finished_maps(folder)
    assert evaluate(folder, models.colour_classifier(), verifiers=[verifier()], settings=FULL) == evaluation
    assert finished_maps(folder) == before


def test_scores_that_made_maps_again_are_kept_without_asking_for_them_anew(whole, tmp_path):
    folder = Path(shutil.copytree(whole[0], tmp_path / "maps"))
    again = evaluate(folder, models.colour_classifier(), verifiers=[verifier()], settings=Settings(samples=3))
    assert again.scores == whole[1].scores


def test_an_interrupted_run_goes_on_where_it_stopped(folder):
    def interrupt(concept: str, index: int, total: int) -> None:
        if index == 1:
            raise KeyboardInterrupt

    callbacks = EvaluationCallbacks(on_measure=interrupt)
    with pytest.raises(KeyboardInterrupt):
        evaluate(folder, models.colour_classifier(), settings=Settings(samples=2), callbacks=callbacks)
    assert not (folder / FILE_NAME).exists()
    first = finished_maps(folder)["1.safetensors"]
    assert "gain" in SaliencyMap.load(folder / "1.safetensors").scores.evidence
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
    evaluation = evaluate(folder, models.colour_classifier(), concepts=["3", "1"], settings=Settings(samples=2))
    assert evaluation.scores["entanglement"]["concepts"] == ["3", "1"]
    assert not SaliencyMap.load(folder / "2.safetensors").scores.evidence


def test_a_single_map_has_what_needs_no_other_maps(folder):
    evaluation = evaluate(folder, models.colour_classifier(), concepts=["3"], settings=Settings(samples=2))
    assert set(evaluation.scores) == {"agnosticity", "gain", "complexity", "refinement"}


def test_maps_of_another_model_are_refused(folder):
    with pytest.raises(BadInput, match="give the model that made it"):
        evaluate(folder, verifier())


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


def test_the_map_of_the_untrained_model_is_another(whole):
    stages = whole[1].scores["sanity"]["stages"]
    assert list(stages) == list(STAGES)
    made_in = SaliencyMap.load(whole[0] / "1.safetensors").scores.evidence["sanity"]["made_in"]
    trained, untrained = (
        SaliencyMap.load(path)
        for path in (whole[0] / "1.safetensors", whole[0] / made_in / "untrained" / "1.safetensors")
    )
    assert models.cosine(trained.map, untrained.map) < 0.9
    assert untrained.model.name == "colour, untrained"


def test_layers_are_randomized_from_the_output_towards_the_image():
    classifier = models.colour_classifier()
    assert find_layers(classifier) == ["head", "body_norm", "body", "stem_norm", "stem"]
    kept = {}
    for stage in STAGES:
        randomized = randomize_layers(classifier, stage, RECIPE).module.state_dict()
        kept[stage] = {
            name
            for name, tensor in classifier.module.state_dict().items()
            if name.endswith("weight") and torch.equal(tensor, randomized[name])
        }
    layers = ["body.weight", "stem_norm.weight", "stem.weight"]
    assert kept["head"] == {"body_norm.weight", *layers}
    assert kept["top third"] == set(layers)
    assert kept["top two thirds"] == {"stem.weight"}
    assert kept["untrained"] == set()


def test_randomizing_leaves_the_model_alone_and_is_the_same_every_time():
    classifier = models.colour_classifier()
    before = {name: tensor.clone() for name, tensor in classifier.module.state_dict().items()}
    first, second = (randomize_layers(classifier, "untrained", RECIPE).fingerprint for _ in range(2))
    assert first == second != classifier.fingerprint
    assert all(torch.equal(tensor, before[name]) for name, tensor in classifier.module.state_dict().items())


@pytest.mark.parametrize("kind", ["sigmoid", "binary"])
def test_a_network_drawn_anew_has_outputs_of_the_same_kind(kind):
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Conv2d(3, 1 if kind == "binary" else 4, 8), nn.Flatten())

        def forward(self, images):
            return {"loss": self.net(images).square(), "logits": self.net(images)}

    form = InputFormat((8, 8), 3, (0.5,), (0.25,))
    classifier = Classifier(Both(), form, outputs=kind, output="logits")
    untrained = randomize_layers(classifier, "untrained", RECIPE)
    assert (untrained.output_kind, untrained.output, untrained.labels) == (
        classifier.output_kind, "logits", classifier.labels,
    )  # fmt: skip


def test_the_outputs_of_an_untrained_network_vary():
    """Its batch norms know the distribution, so that its outputs differ between images."""
    classifier = models.colour_classifier()
    untrained = randomize_layers(classifier, "untrained", RECIPE)
    draws = RECIPE.distribution.draw(torch.Generator().manual_seed(0), 8, classifier.image_shape)
    assert untrained(draws).std(dim=0).min() > 1e-3


@pytest.mark.parametrize("dead", [False, True], ids=["random", "with a class that nothing raises"])
def test_maps_of_a_random_network_are_evaluated_in_every_way(tmp_path, dead):
    class Random(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.net = nn.Sequential(
                nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
                nn.Linear(32, 6),
            )  # fmt: skip

        def forward(self, images):
            outputs = self.net(images)
            return torch.cat([outputs[:, :1] * (not dead), outputs[:, 1:]], dim=1)

    classifier = Classifier(Random().eval(), InputFormat((16, 16), 3, (0.5,), (0.25,)))
    make_maps(classifier, ["0", "1", "2"], replace(RECIPE, iterations=4, restarts=1), out=tmp_path)
    said = []
    settings, callbacks = Settings(samples=2, sanity=1, seeds=1), EvaluationCallbacks(on_warning=said.append)
    evaluation = evaluate(tmp_path, classifier, settings=settings, callbacks=callbacks)
    assert [one.concept for one in evaluation.maps] == ["0", "1", "2"][dead:]
    assert any("the map of 0 is zero" in line for line in said) == dead
    assert set(make_results(evaluation)) >= {"sanity", "stability", "entanglement", "classes", "gain"}


def test_a_layer_that_cannot_reset_its_parameters_is_shuffled():
    linear = models.linear_classifier()
    randomized = randomize_layers(linear, "untrained", RECIPE)
    assert not torch.equal(randomized.module.weight, linear.module.weight)
    torch.testing.assert_close(
        randomized.module.weight.flatten().sort().values, linear.module.weight.flatten().sort().values
    )


def test_tables_say_what_the_record_says(whole):
    folder, evaluation = whole
    tables = {key: result.table for key, result in make_results(evaluation).items()}
    (row,) = tables["recognition"].rows
    assert (row[0].text, row[1].value) == (
        "verifier",
        evaluation.scores["recognition"]["verifiers"][0]["top1"]["value"],
    )
    for table in tables.values():
        assert all(len(row) == len(table.header) for row in table.rows)
    evidence = SaliencyMap.load(folder / "1.safetensors").scores.evidence
    assert {row[0].text for row in make_map_table(evidence).rows} >= {"recognised by verifier", "top-1 on photographs"}


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0%"), (1, "100%"), (0.5, "50.0%"), (0.9999, ">99.9%"), (1e-4, "<0.1%")]
)
def test_only_none_and_all_are_called_so(share, text):
    assert format_share(share) == text


def test_the_report_shows_the_scores_with_their_sentences(whole):
    text = write_report(whole[0]).read_text().replace("&#39;", "'")
    for measure in MEASURES.values():
        assert all(words in text for words in (measure.title, measure.question, measure.good, measure.bad))
    assert "1: trained, last layer" in text
    assert text.count('class="measured-evidence"') == 3


def test_the_report_does_not_show_scores_of_maps_that_are_gone(whole, tmp_path):
    folder = Path(shutil.copytree(whole[0], tmp_path / "maps"))
    make_maps(models.colour_classifier(), ["2"], replace(RECIPE, seed=5), out=folder, overwrite=True)
    text = write_report(folder).read_text()
    assert "Outdated." in text
    assert MEASURES["gain"].good not in text


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 3}', '{"format": 2, "model": 7}'])
def test_a_broken_summary_is_told_in_one_line(folder, content):
    (folder / FILE_NAME).write_text(content)
    with pytest.raises(ArtifactError, match="phosphene evaluate"):
        write_report(folder)


def test_a_score_of_another_shape_is_told_in_one_line(folder):
    evaluate(folder, models.colour_classifier(), settings=Settings(samples=2))
    record = json.loads((folder / FILE_NAME).read_text())
    record["scores"]["gain"]["full"] = "much"
    del record["digest"]
    (folder / FILE_NAME).write_text(json.dumps(seal(record)))
    with pytest.raises(ArtifactError, match=r"stored of gain.*phosphene evaluate"):
        write_report(folder)


@pytest.fixture
def of_0_1(tmp_path) -> Path:
    return Path(shutil.copytree(OF_0_1, tmp_path / "maps"))


def test_the_report_shows_what_0_1_has_measured(of_0_1):
    text = write_report(of_0_1).read_text().replace("&#39;", "'")
    assert "by the features of witness, and" in text
    assert all(measure.good in text for measure in MEASURES.values())
    assert "1: trained, last layer, top third, top two thirds, untrained" in text
    assert text.count('class="measured-evidence"') == 2


def test_maps_that_0_1_has_evaluated_are_not_measured_again(of_0_1):
    before, first = finished_maps(of_0_1), load_evaluation(of_0_1)
    witness = Classifier(verifier().module, tiny_classifier().format, name="witness")
    again = evaluate(of_0_1, tiny_classifier(), verifiers=[witness], settings=Settings(samples=2))
    assert again.scores["entanglement"].pop("unraised") == []  # a field of 0.2
    assert again == first
    assert finished_maps(of_0_1) == before
    assert json.loads((of_0_1 / FILE_NAME).read_text())["feature_extractors"] == ["witness"]


def test_a_measure_is_one_short_file_that_evaluation_tables_and_report_take_up(tmp_path, monkeypatch):
    page = (Path(__file__).parents[1] / "docs" / "add-a-measure.md").read_text()
    code = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len([line for line in code[0].splitlines() if line]) <= 30
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "symmetry", ModuleType("symmetry"))
    namespace: dict[str, object] = {"__name__": "symmetry"}
    try:
        for block in code:
            exec(compile(block, "add-a-measure.md", "exec"), namespace)
        text = write_report(tmp_path / "maps").read_text()
        entries = SaliencyMap.load(tmp_path / "maps" / "cat.safetensors").scores.evidence
        table = make_map_table(entries)
    finally:
        MEASURES.pop("symmetry")
    assert 'id="evidence-symmetry"' in text
    assert "How similar is the picture to its mirror image?" in text
    assert "mirror symmetry" in [row[0].text for row in table.rows]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> tuple[object, ...]:
    return from_factory(saved(models.colour_net(), tmp_path_factory.mktemp("weights") / "colour.safetensors"))


def test_the_command_evaluates_a_folder(folder, tiny):
    told = phosphene("evaluate", folder, "--samples", 2, *tiny)
    assert told.code == 0
    assert MEASURES["agnosticity"].title in told.out
    assert "evidence of 3 maps" in told.out
    record = json.loads(phosphene("evaluate", folder, "--samples", 2, "--json", *tiny).out)
    assert set(record["scores"]) == set(MEASURES) - {"recognition", *MADE_AGAIN}
    assert set(record["maps"][0]["evidence"]) >= {"gain", "complexity"}


def test_show_prints_what_was_measured(whole):
    told = phosphene("show", whole[0] / "1.safetensors").out
    assert "recognised by verifier" in told
    assert "top-1 on photographs" in told


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(PHONE, "light"), (DESKTOP, "dark")])
def test_the_evidence_opens_in_silence_and_fits_the_screen(whole, visit, width, scheme):
    path = write_report(whole[0])
    visited = visit(path, width, scheme)
    assert visited.complaints == []
    assert {url for url in visited.requests if not url.startswith("data:")} == {path.as_uri()}
    assert visited.page.evaluate("document.documentElement.scrollWidth") <= width
    assert visited.page.locator(".score").count() == len(MEASURES)
    assert visited.page.locator(".matrix tbody td").count() == 9
    assert visited.page.locator(".curves polyline").count() == 3


def test_the_command_makes_maps_first_where_it_is_given_concepts(tmp_path, tiny):
    out = tmp_path / "out"
    told = phosphene("evaluate", "3", "--preset", "fast", "--samples", 2, "--out", out, *tiny)
    assert told.code == 0
    assert "gain" in SaliencyMap.load(out / "3.safetensors").scores.evidence


@pytest.mark.parametrize(
    ("arguments", "told"), [(("nowhere",), "no folder 'nowhere'"), (("nowhere", "--samples", 0), "samples is 0")]
)
def test_what_the_command_cannot_do_is_told_in_one_line(arguments, told):
    result = phosphene("evaluate", *arguments)
    assert result.code == 2
    assert told in result.err
    assert len(result.err.strip().splitlines()) == 1
