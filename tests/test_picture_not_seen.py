"""A map may do to noise what it should and its bare picture still be something else to the model: that is said."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from command import phosphene
from models import ConvNet, colour_net
from phosphene.cli.progress import describe_map
from phosphene.method.recognition import measure_pictures, measure_recognition
from phosphene.model.classifier import Classifier
from phosphene.model.input_format import InputFormat
from phosphene.model.outputs import ACTIVE, OUTPUTS
from phosphene.model.readout import read
from phosphene.recipe.concepts import Classes, Weighted
from phosphene.recipe.grammar import parse
from phosphene.recipe.recipe import Recipe
from phosphene.report.maps import write_report
from phosphene.runs.make import make_maps
from phosphene.runs.reference import MapReference
from phosphene.runs.scores import PictureScore
from phosphene.runs.wording import describe_picture, name_fidelity

FORMAT = InputFormat((32, 32), 3, (0.5,), (0.25,))


class Returns(nn.Module):
    """What a network of such a kind returns for the same logits."""

    def __init__(self, kind: str, shift: float) -> None:
        super().__init__()
        self.net, self.kind, self.shift = ConvNet(3, 6), kind, shift

    def forward(self, images: Tensor) -> Tensor:
        logits = self.net(images) / 3 - self.shift * torch.eye(6)[1]
        logits = logits[:, 1:2] if self.kind.startswith("binary") else logits
        if self.kind == "probabilities":
            return logits.softmax(dim=1)
        return logits.sigmoid() if self.kind.endswith("probability") or "label" in self.kind else logits


def sees(classifier: Classifier, picture: Tensor) -> tuple[float, bool]:
    """Class 1, by the kind's own definition."""
    with torch.no_grad():
        (logits,) = classifier(picture[None])
    shares = logits.softmax(dim=0) if classifier.output_kind.exclusive else logits.sigmoid()
    seen = int(logits.argmax()) == 1 if classifier.output_kind.exclusive else float(shares[1]) > 0.5
    return float(shares[1]), seen


@pytest.mark.parametrize("kind", OUTPUTS)
def test_the_check_is_raised_just_where_the_model_does_not_see_its_picture(kind):
    """Class 1 made easy, hard and impossible: both answers occur for every kind of outputs."""
    answers = set()
    for shift in (-9.0, 0.0, 9.0):
        classifier = Classifier(Returns(kind, shift), FORMAT, outputs=kind)
        (saliency,) = make_maps(classifier, ["1"], Recipe(iterations=6, restarts=1))
        (share, seen), (refined, refined_seen) = (
            sees(classifier, saliency.raw_picture),
            sees(classifier, saliency.picture),
        )
        picture = saliency.scores.bare_pictures
        assert (picture.seen, picture.refined_seen) == (seen, refined_seen)
        assert (picture.probability, picture.refined_probability) == pytest.approx((share, refined), abs=1e-3)
        assert ("picture-not-seen" in saliency.checks) == (not (seen and refined_seen))
        answers.add("picture-not-seen" in saliency.checks)
    assert answers == {True, False}


def test_a_channel_is_seen_where_the_bare_picture_activates_it():
    classifier = Classifier(colour_net(), FORMAT)
    concept = parse("stem:3", classifier.labels, model="colour", scored="logit")
    (saliency,) = make_maps(classifier, ["stem:3"], Recipe(iterations=40))
    pictures = torch.stack([torch.full_like(saliency.raw_picture, 0.5), saliency.raw_picture])
    levels = [float(read(classifier, picture[None], [concept])[0][0, 3]) for picture in pictures]
    measured = [measure_pictures(classifier, [concept], picture[None])[0] for picture in pictures]
    assert [seen for _, seen in measured] == [level > ACTIVE for level in levels]
    assert saliency.scores.bare_pictures.seen == measured[1][1]


def test_sets_and_sums_are_seen_by_what_they_raise():
    classifier = Classifier(colour_net(), FORMAT)
    picture = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        first, second = (int(k) for k in classifier(picture)[0].topk(2).indices)
    of = {name: measure_pictures(classifier, [one], picture)[0][1] for name, one in {
        "set": Classes((first, second), "set"), "other": Classes((second,), "other"),
        "sum": Weighted(((1.0, Classes((first,), "a")), (-1.0, Classes((second,), "b")))),
    }.items()}  # fmt: skip
    assert of == {"set": True, "other": False, "sum": True}


def reference(tmp_path, **scores) -> tuple[MapReference, object]:
    (saliency,) = make_maps(Classifier(colour_net(), FORMAT), ["1"], Recipe(iterations=2), out=tmp_path)
    changed = replace(saliency, scores=replace(saliency.scores, **scores), checks=("picture-not-seen",))
    path = next(tmp_path.glob("*.safetensors"))
    changed.save(path)
    return MapReference.to(changed, path), changed


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (PictureScore(0.02, False, 0.03, False), "bare picture"),
        (PictureScore(0.02, False, 0.9, True), "unrefined picture"),
        (PictureScore(0.9, True, 0.03, False), "refined picture"),
    ],
)
def test_console_and_page_say_what_the_picture_is_taken_for(tmp_path, picture, words):
    finished, saliency = reference(tmp_path, bare_pictures=picture)
    top = saliency.scores.top5_refined if picture.seen else saliency.scores.top5
    said = f"the {words} is predicted as {top[0].name} {top[0].probability:.2f}"
    assert said in describe_map(finished)
    assert said in write_report(tmp_path).read_text()
    shown = phosphene("show", str(finished.path), "--json")
    assert json.loads(shown.out)["scores"]["bare_pictures"]["refined_seen"] == picture.refined_seen
    assert "not seen" in phosphene("show", str(finished.path)).out


def test_a_seen_picture_and_one_of_an_older_version_are_passed_over(tmp_path):
    for picture in (PictureScore(0.9, True, 0.8, True), None):
        finished, saliency = reference(tmp_path, bare_pictures=picture)
        assert describe_picture(saliency.scores) is None
        assert "picture" not in describe_map(finished).split("[")[0]
        assert "predicted as" not in write_report(tmp_path).read_text()


def test_the_numbers_of_a_fidelity_are_called_what_they_are(tmp_path):
    """Top-1 is of classes that exclude each other; a channel has no probability."""
    recipe = Recipe(iterations=2)
    for outputs, concept, words in (
        ("softmax", "1", ("probability", "top-1")),
        ("sigmoid", "1", ("probability", "above 0.5")),
        ("sigmoid", "stem:1", ("active", "first")),
    ):
        folder = tmp_path / f"{outputs}-{concept[0]}"
        (saliency,) = make_maps(Classifier(colour_net(), FORMAT, outputs=outputs), [concept], recipe, out=folder)
        finished = MapReference.to(saliency, next(folder.glob("*.safetensors")))
        assert name_fidelity(saliency.scores, saliency.model.output_kind) == words
        line = describe_map(finished)
        assert f", {words[1]} in " in line
        assert ("fidelity" in line.split("[")[0]) == (words[0] == "probability")
        assert f'<th scope="col">{words[1].capitalize()}</th>' in write_report(folder).read_text()
        assert ("Active in" in write_report(folder).read_text()) == (words[0] == "active")
        assert words[1] in phosphene("show", str(finished.path)).out


def test_a_probability_of_nothing_has_a_finite_logarithm():
    classifier = Classifier(ConvNet(3, 6), FORMAT)
    module = classifier.module
    module.head.bias.data[1] = -500.0
    (row,) = measure_recognition(classifier, [Classes((1,), "1")], torch.full((1, 3, 32, 32), 0.5))
    assert row.isfinite().all()
