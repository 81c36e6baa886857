"""Several models asked for the same concepts: maps, judges, what is missing, the record, the command and its page."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import models
from browser import DESKTOP, PHONE
from command import FORMAT, finished_maps, phosphene, saved
from phosphene.beside.columns import folder_name, name_columns
from phosphene.beside.record import FILE, SideBySide
from phosphene.beside.run import make_beside
from phosphene.cli.beside import parse_model
from phosphene.cli.options import Source
from phosphene.core.records import open_seal, seal
from phosphene.errors import ArtifactError, BadInput, OtherRecipe, UnknownConcept
from phosphene.model.classifier import Classifier
from phosphene.model.input_format import InputFormat
from phosphene.recipe.recipe import Recipe
from phosphene.report import beside as beside_page
from phosphene.report import maps as map_page
from phosphene.report.beside import write_beside_report
from phosphene.runs import jobs
from phosphene.runs.callbacks import Callbacks
from phosphene.runs.make import make_maps
from phosphene.runs.saliency import SaliencyMap
from test_report import CONTRASTS

QUICK = Recipe(iterations=6, restarts=1)
LABELS = ("cat", "dog", "owl", "fox")
TENSORS = ("map", "importance", "mask", "picture", "raw_picture", "development")


def linear(name="first", seed=0, **changes):
    return models.linear_classifier((3, 8, 8), seed=seed).replace(**{"labels": LABELS, "name": name, **changes})


def reordered(order, labels, name="other", seed=1):
    """The linear model of `seed` with its classes in another order, some left out; class 4 says nothing to anything."""
    rows = linear(seed=seed).module.weight.detach()
    weight = torch.cat([rows, torch.zeros_like(rows[:1])])[list(order)]
    return models.linear_classifier(weight=weight).replace(labels=labels, name=name)


def ask(classifiers, out, concepts=LABELS, recipe=QUICK, **options):
    return make_beside(classifiers, concepts, recipe, out, **options)


def opinions(made, column):
    return {one.concept: {each.model: each for each in one.scores.opinions} for one in made.maps[column]}


def count_missing():
    counts: list[int] = []
    return counts, Callbacks(on_start=lambda maps, _: counts.append(maps))


def test_each_map_is_that_of_its_model_alone_with_the_others_as_verifiers(tmp_path):
    several = [linear(), linear("second", 1), linear("third", 2)]
    made = ask(several, tmp_path / "beside")
    for number, folder in enumerate((".", "second", "third")):
        verifiers = [one for one in several if one is not several[number]]
        alone = make_maps(several[number], list(LABELS), QUICK, out=tmp_path / str(number), verifiers=verifiers)
        assert [one.concept for one in made.maps[number]] == [one.concept for one in alone]
        for one in alone:
            other = SaliencyMap.load(tmp_path / "beside" / folder / f"{one.concept}.safetensors")
            assert all(torch.equal(getattr(one, name), getattr(other, name)) for name in TENSORS)
            assert one.scores == other.scores
            assert len(one.scores.opinions) == 2
    assert made.missing == []


def test_a_class_is_judged_by_its_name_where_the_judge_has_it_at_another_place(tmp_path):
    """The same network behind a background class, its classes turned round: it must say what the first says."""
    first = linear()
    judge = reordered((4, 3, 2, 1, 0), ("background", "fox", "owl", "dog", "cat"), seed=0)
    made = ask([first, judge], tmp_path)
    for concept, by_judge in opinions(made, 0).items():
        opinion = by_judge["other"]
        reference = next(one for one in made.maps[0] if one.concept == concept)
        assert opinion.top1 is (reference.scores.top5[0].name == concept)
        assert opinion.top5[0].name == reference.scores.top5[0].name
        assert {guess.name: guess.index for guess in opinion.top5} == {"background": -1} | {
            name: index for index, name in enumerate(LABELS)
        }
    assert [one.concept for one in made.maps[1]] == list(LABELS)
    assert all(list(one) == ["first"] for one in opinions(made, 1).values())
    assert all(one.load().scores == one.scores for maps in made.maps for one in maps)


def test_an_index_means_the_class_that_it_names_in_the_first_model(tmp_path):
    made = ask([linear(), reordered((3, 2, 1, 0), LABELS[::-1])], tmp_path, ["index:0", "owl - dog", "cat"])
    assert [row.concept for row in made.table.rows] == ["cat", "owl - dog"]
    assert [one.targets for one in made.maps[1]] == [(3,), (1,)]


def test_classes_without_names_are_not_compared_across_models(tmp_path):
    """Class 1 of four and class 1 of five have nothing in common but a number."""
    unnamed = [linear(labels=tuple(map(str, range(4)))), models.linear_classifier((3, 8, 8), outputs=5)]
    warnings: list[str] = []
    made = ask(unnamed, tmp_path, ["1"], callbacks=Callbacks(on_warning=warnings.append))
    assert [one.scores.opinions for maps in made.maps for one in maps] == [(), ()]
    assert [one for one in warnings if "none of the others judges it" in one] == warnings[-2:]


def test_what_a_model_does_not_have_stops_nothing(tmp_path):
    made = ask([linear(), reordered((0, 1), ("cat", "wolf")), linear("third", 2)], tmp_path, ["dog", "wolf", "cat"])
    assert [[one.concept for one in maps] for maps in made.maps] == [["dog", "cat"], ["wolf", "cat"], ["dog", "cat"]]
    assert [(column.title, concept) for column, concept, _ in made.missing] == [
        ("other", "dog"), ("first", "wolf"), ("third", "wolf"),
    ]  # fmt: skip
    assert all("no class of" in reason and "\n" not in reason for *_, reason in made.missing)
    assert SideBySide.load(tmp_path) == made.table


def test_what_no_model_has_is_refused_before_anything_is_made(tmp_path):
    with pytest.raises(UnknownConcept, match="no class of first is called 'wolf'"):
        ask([linear(), linear("second", 1)], tmp_path / "out", ["cat", "wolf"])
    with pytest.raises(BadInput, match="first is asked twice"):
        ask([linear(), linear()], tmp_path / "out")
    with pytest.raises(BadInput, match="no concept given"):
        ask([linear(), linear("second", 1)], tmp_path / "out", [])
    with pytest.raises(BadInput, match="cannot verify first"):
        ask([linear(), linear("second", 1)], tmp_path / "out", verifiers=[reordered((0, 1), ("cat", "wolf"))])
    assert not (tmp_path / "out").exists()


def test_a_map_that_fails_is_named_and_tried_again(tmp_path, monkeypatch):
    run_batch = jobs.run_batch

    def fail_at_owl(classifier, concepts, *rest):
        if classifier.name == "second" and any(one.name == "owl" for one in concepts):
            raise ZeroDivisionError("owl")
        return run_batch(classifier, concepts, *rest)

    monkeypatch.setattr(jobs, "run_batch", fail_at_owl)
    several = [linear(), linear("second", 1)]
    made = ask(several, tmp_path)
    assert [(column.title, *rest) for column, *rest in made.missing] == [("second", "owl", "ZeroDivisionError: owl")]
    assert SideBySide.load(tmp_path) == made.table
    monkeypatch.undo()
    counts, callbacks = count_missing()
    assert ask(several, tmp_path, callbacks=callbacks).missing == []
    assert counts == [0, 1]


def test_the_same_command_goes_on_and_one_more_model_is_asked_by_all(tmp_path):
    several = [linear(), linear("second", 1), reordered((3, 2, 1, 0), LABELS[::-1], "turned", 2)]
    ask(several[:2], tmp_path, LABELS[:2])
    before = finished_maps(tmp_path)
    counts, callbacks = count_missing()
    ask(several[:2], tmp_path, LABELS[:2], callbacks=callbacks)
    assert finished_maps(tmp_path) == before
    made = ask(several, tmp_path, LABELS[:3], callbacks=callbacks)
    assert counts == [0, 0, 1, 1, 3]
    assert all(set(one) == {"second", "turned"} for one in opinions(made, 0).values())
    again = finished_maps(tmp_path)
    assert ask(several, tmp_path, LABELS[:3]).table == made.table
    assert finished_maps(tmp_path) == again


def test_a_folder_of_another_recipe_keeps_its_record(tmp_path):
    several = [linear(), linear("second", 1)]
    before = ask(several, tmp_path, LABELS[:2]).table
    with pytest.raises(OtherRecipe):
        ask(several, tmp_path, LABELS[:1], replace(QUICK, seed=3))
    assert SideBySide.load(tmp_path) == before
    made = ask(several, tmp_path, LABELS[:1], replace(QUICK, seed=3), overwrite=True)
    assert SideBySide.load(tmp_path) == made.table != before


def test_folders_have_different_names_on_every_file_system():
    names = ("efficientnet_lite1", "Net", "net", "timm:a/b", "../up", "net", "net")
    columns = name_columns([linear(name, seed) for seed, name in enumerate(names)])
    folders = [column.folder for column in columns]
    assert folders[:3] == ["", folder_name("Net"), "net"]
    assert len({folder.lower() for folder in folders}) == len(names)
    assert all(folder == folder.lower() and "/" not in folder and "." not in folder for folder in folders)
    titles = [column.title for column in columns]
    assert len(set(titles)) == len(names)
    assert titles[:5] == list(names[:5])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("efficientnet_lite1", ("efficientnet_lite1", {})),
        ("my models/a net.onnx", ("my models/a net.onnx", {})),
        ("timm:resnet18 --weights 'my net.st' --size 32,16", ("timm:resnet18", {"weights": Path("my net.st"), "size": "32,16"})),
        ("--factory nets:b --channels 3 --trust-pickle", (None, {"factory": "nets:b", "channels": 3, "trust_pickle": True})),
        (r"--factory nets:b --weights C:\nets\b.st", (None, {"factory": "nets:b", "weights": Path(r"C:\nets\b.st")})),
        ("net --mean=-0.5,0,1", ("net", {"mean": "-0.5,0,1"})),
        ("net --label a.txt", "--label"),
        ("net other --size 3", "other"),
        ("net --channels three", "three"),
        ("net --size", "--size"),
        ("net --labels 'a.txt", "close the quotation"),
        (" ", "is empty"),
    ],
)  # fmt: skip
def test_a_model_beside_is_written_as_after_the_command(text, expected):
    if isinstance(expected, str):
        with pytest.raises(BadInput, match=expected):
            parse_model(text)
    else:
        assert parse_model(text) == (expected[0], Source(**expected[1]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda record: record | {"format": 9}, "format is 9"),
        (lambda record: record | {"extra": 1}, "extra"),
        (lambda record: record | {"columns": [record["columns"][0] | {"folder": "../up"}] * 2}, "no name of a folder"),
        (lambda record: record | {"rows": [{"concept": "cat", "cells": [{"file": "../a.safetensors"}] * 2}]}, "no name"),
        (lambda record: record | {"rows": [{"concept": "cat", "cells": []}]}, "0 cells, expected 2"),
    ],
)  # fmt: skip
def test_a_record_that_is_none_is_refused_in_one_line(tmp_path, change, words):
    ask([linear(), linear("second", 1)], tmp_path, ["cat"])
    record = open_seal(json.loads((tmp_path / FILE).read_text()))
    (tmp_path / FILE).write_text(json.dumps(seal(change(record))))
    with pytest.raises(ArtifactError, match=words) as raised:
        write_beside_report(tmp_path)
    assert "\n" not in str(raised.value)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The outcome of the command on two colour networks, one under two forms, and a grey one that has fewer classes."""
    folder = tmp_path_factory.mktemp("beside")
    for name, net in (("a", models.colour_net()), ("b", models.ConvNet(3, 20, seed=1)), ("c", models.grey_net())):
        saved(net, folder / f"{name}.safetensors")
    colour = " ".join(map(str, FORMAT))
    others = (
        f"--factory models:colour_net --weights '{folder / 'b.safetensors'}' {colour}",
        f"--factory models:grey_net --weights '{folder / 'c.safetensors'}' --size 28 --channels 1 --mean 0 --std 1",
    )
    beside = [word for other in others for word in ("--beside", other)]
    own = ("--factory", "models:colour_net", "--weights", folder / "a.safetensors", *FORMAT)
    options = ("--iterations", 8, "--restarts", 1, "--out", folder / "out")
    outcome = phosphene("map", "7", "15", *own, *beside, *options, "--json")
    assert phosphene("report", folder / "out").code == 0
    return outcome, folder / "out"


def test_the_command_says_what_is_missing_and_exits_with_3(made):
    outcome, folder = made
    assert outcome.code == 3
    said = json.loads(outcome.out)
    assert [[one["concept"] for one in model["maps"]] for model in said["models"]] == [["7", "15"], ["7", "15"], ["7"]]
    assert all(Path(one["path"]).parent == Path(model["folder"]) for model in said["models"] for one in model["maps"])
    assert said["missing"] == [
        {"model": "models:grey_net", "concept": "15", "reason": "no class 15: models:grey_net has 10 outputs, expected 0 to 9"}
    ]  # fmt: skip
    assert said["record"] == str(folder / FILE)


@pytest.mark.browser
def test_every_cell_has_its_picture_its_numbers_and_a_link_to_more(made, visit):
    folder = made[1]
    page = visit(folder / "beside.html").page
    assert page.locator(".beside tbody td").count() == 6
    assert page.locator(".beside img").count() == 5
    assert page.locator(".beside td.none").inner_text().endswith("has 10 outputs, expected 0 to 9")
    assert page.locator(".beside .verdict").count() == 4
    for verdict in page.locator(".beside .verdict").all_inner_texts():
        assert verdict.startswith(("✓", "✗")) and " sees " in verdict  # noqa: PT018 - one sentence
    shown = page.locator(".beside tbody tr").first.locator("td").first
    saliency = SaliencyMap.load(folder / "7.safetensors")
    assert float(shown.locator(".line data").get_attribute("value")) == saliency.scores.fidelity.probability
    links = page.eval_on_selector_all("main a", "all => all.map(one => one.href)")
    assert len(links) > 5
    for link in links:
        path, _, anchor = link.removeprefix("file://").partition("#")
        assert f'id="{anchor}"' in Path(path).read_text() or not anchor
    alone = visit(folder / "report.html").page
    assert alone.locator(".back a").get_attribute("href") == "beside.html"


@pytest.mark.browser
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_can_be_read_everywhere_and_asks_for_nothing(made, visit, width, scheme):
    visited = visit(made[1] / "beside.html", width, scheme)
    assert visited.page.evaluate("document.documentElement.scrollWidth") <= width
    assert [one for one in visited.page.evaluate(CONTRASTS) if one[0] < 4.5] == []
    assert [one for one in visited.requests if not one.startswith(("file:", "data:"))] == []
    assert visited.complaints == []
    images = visited.page.locator(".beside img")
    assert all("picture of" in one for one in images.evaluate_all("all => all.map(one => one.alt)"))
    whose = visited.page.locator(".beside .whose").first
    assert whose.is_visible() == (width == PHONE)  # the head of the table is not there


def test_judges_stand_in_the_order_of_the_columns_and_other_verifiers_after_them(tmp_path):
    several = [linear(), reordered((3, 2, 1, 0), LABELS[::-1], "turned", 2), linear("third", 1)]
    made = ask(several, tmp_path, ["cat"], verifiers=[linear("fourth", 4)])
    assert list(opinions(made, 0)["cat"]) == ["third", "fourth", "turned"]
    page = write_beside_report(tmp_path).read_text()
    first_cell = page[page.index('<tr id="concept-1"') :].split("</td>")[0]
    places = [first_cell.index(f"<span>{name} sees ") for name in ("turned", "third", "fourth")]
    assert places == sorted(places)


def test_what_is_not_made_yet_is_said_and_other_weights_are_refused(tmp_path):
    ask([linear(), linear("second", 1)], tmp_path, ["cat", "dog"])
    (tmp_path / "second" / "cat.safetensors").unlink()
    assert write_beside_report(tmp_path).read_text().count(beside_page.NOT_YET) == 1
    (tmp_path / "second" / "cat.safetensors").write_bytes((tmp_path / "cat.safetensors").read_bytes())
    with pytest.raises(ArtifactError, match="of other weights than second"):
        write_beside_report(tmp_path)
    for path in tmp_path.rglob("*.safetensors"):
        path.unlink()
    with pytest.raises(ArtifactError, match="no finished maps"):
        write_beside_report(tmp_path)


def test_many_concepts_are_shown_on_several_pages(tmp_path, monkeypatch):
    monkeypatch.setattr(beside_page, "MANY", 3)
    monkeypatch.setattr(map_page, "MANY", 3)
    ask([linear(), linear("second", 1)], tmp_path)
    write_beside_report(tmp_path)
    first, second = ((tmp_path / name).read_text() for name in ("beside.html", "beside-2.html"))
    assert (first.count('class="card"'), second.count('class="card"')) == (6, 2)
    assert 'href="beside-2.html">fox</a>' in first
    assert 'href="second/report-2.html#map-4"' in second
    assert second.count("of 4</td>") == first.count("of 4</td>") == 2


def test_a_channel_is_asked_of_each_model_that_has_the_layer(tmp_path, colour):
    other = Classifier(models.ConvNet(3, 20, seed=1), colour.format, name="other")
    without = Classifier(models.Linear(torch.randn(20, 3, 32, 32)), InputFormat((32, 32), 3), name="linear")
    made = ask([colour, other, without], tmp_path, ["body:3"])
    assert [len(maps) for maps in made.maps] == [1, 1, 0]
    assert {one.top1 for one in opinions(made, 0)["body:3"].values()} == {None}
    page = write_beside_report(tmp_path).read_text()
    assert "✓</b> <span>" not in page
    assert "<b>·</b>" in page
