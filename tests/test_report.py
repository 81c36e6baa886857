"""The report as a reader meets it: opened in a real browser, on a phone and a desktop, by day and by night."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn

import models
import phosphene
from browser import DESKTOP, PHONE
from phosphene.cli.options import RecipeOptions
from phosphene.core.images import to_image
from phosphene.errors import ArtifactError, DamagedArtifact
from phosphene.method.fidelity import Fidelity
from phosphene.model.checks import CHECKS
from phosphene.model.input_format import InputFormat
from phosphene.model.record import ModelRecord
from phosphene.recipe.distributions import Flat, Folder, Grey, Pink
from phosphene.recipe.geometries import Pixel, Spectral
from phosphene.recipe.recipe import PRESETS, Recipe
from phosphene.report import maps as map_page
from phosphene.report import pictures as render
from phosphene.report import reproduce
from phosphene.report.maps import write_report
from phosphene.report.page import format_probability, format_rate
from phosphene.runs.make import make_maps
from phosphene.runs.saliency import SaliencyMap
from phosphene.runs.scores import Guess, MaskScore, Opinion, Scores
from phosphene.runs.store import file_stem

SCRIPT = "<script>alert(1)</script>"
LONG = "a concept with a verylongwordthatwouldneverfitonthescreenofaphonehoweversmallthelettersare in it"


OLD = Path(__file__).parent / "data" / "0.1" / "maps"  # written by version 0.1, `models.grey_classifier`


def make_guesses(index: int, concept: str, share: float) -> tuple[Guess, ...]:
    names = [concept, *(f"rival {k}" for k in range(1, 5))]
    return tuple(Guess(index + k, name, round(share / 3**k, 4)) for k, name in enumerate(names))


def make_scores(index: int, concept: str) -> Scores:
    """Scores of which no two numbers are equal."""
    share = 0.9 + index / 1000
    own, *elsewhere = (Fidelity(share - k / 9, 1 - k / 16) for k in range(4))
    return Scores(
        fidelity=own,
        fidelity_elsewhere=dict(zip(("uniform", "pink", "flat"), elsewhere, strict=True)),
        refined_fidelity=Fidelity(share - 0.013, 0.9375),
        refinement=MaskScore("blocks.4", 0.5),
        top5=make_guesses(index, concept, share),
        top5_refined=make_guesses(index, concept, 0.97 * share),
        scale=1.0,
    )


def make_map(concept: str, index: int = 1, side: int = 64, channels: int = 3, **changes: Any) -> SaliencyMap:
    """A map whose every number differs from every other's and follows from `index`."""
    generator = torch.Generator().manual_seed(index)
    shape = (channels, side, side)
    ramp = torch.linspace(0, 1, side).expand(side, side)
    form = InputFormat((side, side), channels, (0.5,), (0.5,))
    saliency = SaliencyMap(
        concept=concept,
        targets=(index,),
        map=torch.randn(shape, generator=generator),
        importance=ramp,
        mask=ramp,
        picture=torch.rand(shape, generator=generator),
        raw_picture=torch.rand(shape, generator=generator),
        development=torch.randint(0, 256, (6, *shape), generator=generator, dtype=torch.uint8),
        recipe=PRESETS["default"].to_json(),
        model=ModelRecord("efficientnet_lite0", "5eed" * 16, form, 1000),
        scores=make_scores(index, concept),
        trace=tuple(-1.5 + 0.25 * step + index / 64 for step in range(40)),
        versions={"phosphene": "0.1.0", "torch": "2.6.0", "python": "3.10.1"},
        passes=128 + index,
        seconds=4.75 + index,
    )
    return replace(saliency, **changes)


def save_run(folder: Path, *maps: SaliencyMap) -> Path:
    """The folder that a run would have left behind."""
    files = [f"{file_stem(saliency.concept)}.safetensors" for saliency in maps]
    for saliency, name in zip(maps, files, strict=True):
        saliency.save(folder / name)
    (folder / "run.json").write_text(json.dumps({"maps": [{"file": name} for name in files]}))
    return folder


def add_opinion(saliency: SaliencyMap) -> SaliencyMap:
    """The map with another model's opinion of it."""
    guesses = make_guesses(saliency.targets[0], saliency.concept, 0.81)
    opinion = Opinion("efficientnet_lite2", True, -0.3147, guesses)
    return replace(saliency, scores=replace(saliency.scores, opinions=(opinion,)))


@pytest.fixture(scope="module")
def maps() -> list[SaliencyMap]:
    """Colour and grey, large and small, harmless and hostile."""
    return [
        add_opinion(make_map("goldfish", 1, side=128)),
        make_map(SCRIPT, 2, side=100, checks=("low-fidelity", "not-folded")),
        make_map("seven", 7, side=28, channels=1),
        make_map(LONG, 11, side=100, channels=5, checks=("unrefined",)),
    ]


@pytest.fixture(scope="module")
def written(maps: list[SaliencyMap], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(save_run(tmp_path_factory.mktemp("report"), *maps))


@pytest.mark.browser
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_opens_in_silence_and_a_person_can_look_at_it(written, visit, tmp_path, width, scheme):
    visited = visit(written, width, scheme)
    screenshot = tmp_path / f"report-{width}-{scheme}.png"
    visited.page.screenshot(path=screenshot, full_page=True)
    print(f"screenshot: {screenshot}")
    assert visited.complaints == []
    assert {url for url in visited.requests if not url.startswith("data:")} == {written.as_uri()}


@pytest.mark.browser
def test_every_picture_is_there_and_decodes(written, maps, visit):
    widths = visit(written).page.eval_on_selector_all("img", "all => all.map(one => one.naturalWidth)")
    assert len(widths) == len(maps) * len(("thumbnail", "raw", "refined", "evidence", "importance", "signed", "frames"))
    assert min(widths) > 0


@pytest.mark.browser
def test_nothing_scrolls_sideways_on_a_phone(written, visit):
    page = visit(written, PHONE).page
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE
    outside = """all => all.filter(one => !one.closest('.scroll, pre'))
        .filter(one => one.getBoundingClientRect().right > innerWidth).map(one => one.outerHTML.slice(0, 80))"""
    assert page.eval_on_selector_all("body *", outside) == []


@pytest.mark.browser
def test_pictures_are_large_and_stand_side_by_side_on_a_desktop(written, visit):
    raw, refined = (box.bounding_box() for box in visit(written).page.locator("#map-1 .pictures > figure > img").all())
    assert raw["y"] == refined["y"]
    assert refined["x"] > raw["x"] + raw["width"]
    assert min(raw["width"], refined["width"]) >= 400


@pytest.mark.browser
def test_small_grey_maps_keep_their_pixels(written, visit):
    style = "all => [...new Set(all.map(one => getComputedStyle(one).imageRendering))]"
    page = visit(written).page
    assert page.eval_on_selector_all("#map-3 .pictures img", style) == ["pixelated"]
    assert page.eval_on_selector_all("#map-1 .pictures img", style) == ["auto"]


CONTRASTS = """() => {
  const rgba = text => { const found = text.match(/[\\d.]+/g).map(Number); return [...found, 1].slice(0, 4); };
  const behind = one => {
    for (let at = one; at; at = at.parentElement) {
      const colour = rgba(getComputedStyle(at).backgroundColor);
      if (colour[3] > 0) return colour;
    }
    return [255, 255, 255, 1];
  };
  const light = colour => {
    const linear = c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4;
    const [r, g, b] = colour.slice(0, 3).map(c => linear(c / 255));
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const written = [...document.querySelectorAll('body *')].filter(one =>
    [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim()));
  return written.map(one => {
    const [a, b] = [light(rgba(getComputedStyle(one).color)), light(behind(one))];
    return [(Math.max(a, b) + .05) / (Math.min(a, b) + .05), one.textContent.trim().slice(0, 40)];
  });
}"""


@pytest.mark.browser
def test_all_text_can_be_read_by_day_and_by_night(written, visit):
    grounds = {}
    for scheme in ("light", "dark"):
        page = visit(written, scheme=scheme).page
        grounds[scheme] = page.evaluate("getComputedStyle(document.body).backgroundColor")
        contrasts = page.evaluate(CONTRASTS)
        assert len(contrasts) > 200
        assert [entry for entry in contrasts if entry[0] < 4.5] == [], scheme
    assert grounds["light"] != grounds["dark"]


@pytest.mark.browser
def test_a_concept_called_script_is_shown_and_not_run(written, visit):
    visited = visit(written)
    assert visited.dialogs == []
    assert visited.page.evaluate("document.scripts.length") == 0
    assert visited.page.locator("#map-2 h2").inner_text() == SCRIPT
    assert SCRIPT not in written.read_text()


@pytest.mark.browser
def test_the_numbers_shown_are_those_of_the_artifact(written, maps, visit):
    page = visit(written).page
    for number, saliency in enumerate(maps, start=1):
        section, scores = page.locator(f"#map-{number}"), saliency.scores
        table = [[float(value) for value in row.locator("data").evaluate_all("all => all.map(one => one.value)")]
                 for row in section.locator(".fidelity tbody tr").all()]  # fmt: skip
        measured = [scores.fidelity, *scores.fidelity_elsewhere.values(), scores.refined_fidelity]
        assert table == [[fidelity.probability, fidelity.top1] for fidelity in measured]
        raw, refined = section.locator(".pictures .bars").all()
        assert _bars(raw) == _tops(scores.top5)
        assert _bars(refined) == _tops(scores.top5_refined)
        shown = section.locator(".recipe").inner_text()
        assert re.search(rf"passes\s+{saliency.passes}\b", shown)
        assert re.search(rf"seconds\s+{saliency.seconds}\b", shown)


@pytest.mark.browser
def test_another_models_opinion_is_shown_where_there_is_one(written, maps, visit):
    page = visit(written).page
    assert page.locator(".verifier").count() == 1
    opinion = maps[0].scores.opinions[0]
    shown = page.locator("#map-1 .verifier")
    assert _bars(shown.locator(".bars")) == _tops(opinion.top5)
    assert "efficientnet_lite2 agrees, log-probability −0.31" in shown.inner_text()


@pytest.mark.browser
def test_the_overview_shows_each_picture_with_its_own_numbers(written, maps, visit):
    cards = visit(written).page.locator(".card").all()
    for card, saliency in zip(cards, maps, strict=True):
        values = card.locator("data").evaluate_all("all => all.map(one => Number(one.value))")
        assert values == [saliency.scores.fidelity.probability, saliency.scores.top5[0].probability]
        shown = card.locator("img").get_attribute("alt")
        assert shown.startswith("picture of ")  # the bare one: its numbers are not the refined one's


def _bars(listed: Any) -> list[tuple[str, float]]:
    names = listed.locator(".bar-name").all_inner_texts()
    values = listed.locator("data").evaluate_all("all => all.map(one => Number(one.value))")
    return list(zip(names, values, strict=True))


def _tops(guesses: tuple[Guess, ...]) -> list[tuple[str, float]]:
    return [(guess.name, guess.probability) for guess in guesses]


def test_raised_checks_are_explained(written):
    text = written.read_text()
    for name in ("low-fidelity", "not-folded", "unrefined"):
        assert all(words in text for words in _escaped(CHECKS[name]))
    assert CHECKS["data-using"].means not in text


def _escaped(check: Any) -> list[str]:
    return [text.replace("'", "&#39;") for text in (check.raised_if, check.means, check.remedy)]


def test_the_page_states_whether_data_was_used(tmp_path, written):
    recipe = replace(PRESETS["default"], distribution=Folder("holiday")).to_json()
    text = write_report(save_run(tmp_path, make_map("goldfish", recipe=recipe, checks=("data-using",)))).read_text()
    assert "Photographs were used." in text
    assert "No image and no data set was used." not in text
    assert "No image and no data set was used." in written.read_text()


def test_a_folder_without_maps_is_refused_in_one_line(tmp_path):
    with pytest.raises(ArtifactError, match="no finished maps") as refused:
        write_report(tmp_path)
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_map_is_not_reported(tmp_path):
    path = save_run(tmp_path, make_map("goldfish")) / "goldfish.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedArtifact):
        write_report(tmp_path)


def test_writing_again_gives_the_same_bytes_and_leaves_nothing_else(tmp_path):
    first = write_report(save_run(tmp_path, make_map("goldfish"))).read_bytes()
    before = sorted(tmp_path.iterdir())
    assert write_report(tmp_path).read_bytes() == first
    assert sorted(tmp_path.iterdir()) == before


def test_many_maps_are_embedded_smaller_and_without_their_development(tmp_path, monkeypatch):
    save_run(tmp_path, make_map("goldfish", 1, side=224), make_map("zebra", 2, side=224))
    full = write_report(tmp_path).read_text()
    monkeypatch.setattr(map_page, "MANY", 1)
    lean = write_report(tmp_path).read_text()
    assert len(lean) < len(full) / 3
    assert "development of goldfish" in full
    assert "development of" not in lean


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0.0, "<0.1%"), (0.0004, "<0.1%"), (0.001, "0.1%"), (0.5, "50.0%"), (0.9994, ">99.9%"), (1.0, ">99.9%")],
)
def test_a_probability_is_never_rounded_to_nothing_or_all(share, shown):
    assert format_probability(share) == shown


@pytest.mark.parametrize(("share", "shown"), [(0.0, "0%"), (1.0, "100%"), (0.875, "87.5%"), (0.9999, ">99.9%")])
def test_a_rate_is_all_only_where_it_is(share, shown):
    assert format_rate(share) == shown


EXPRESSIBLE = [
    *PRESETS.values(),
    replace(PRESETS["default"], seed=3, iterations=7),
    replace(PRESETS["fast"], distribution=Pink(), score="margin", samples=2),
    replace(PRESETS["paper"], geometry=Spectral(), nudge_steps=2),
    replace(PRESETS["default"], geometry=Pixel(), distribution=Folder("holiday photos")),
    replace(PRESETS["best"], distribution=Flat()),
]


@pytest.mark.parametrize("recipe", EXPRESSIBLE)
def test_the_command_line_leads_to_the_same_recipe(recipe: Recipe):
    options = {"iterations": None, "distribution": None, "geometry": None}
    options |= reproduce.find_shortest_options(recipe.to_json()) or pytest.fail("no options found")
    assert RecipeOptions(**options).build() == recipe


@pytest.mark.parametrize("recipe", [*EXPRESSIBLE, replace(PRESETS["default"], step=0.5, distribution=Grey(0.3))])
def test_the_python_lines_lead_to_the_same_recipe(recipe: Recipe):
    call = reproduce.format_recipe(recipe.to_json())
    assert eval(call, {"phosphene": phosphene, "dataclasses": dataclasses}) == recipe


def test_a_recipe_that_no_option_gives_has_no_command_line():
    assert (
        reproduce.format_command(make_map("goldfish", recipe=replace(PRESETS["default"], step=0.5).to_json())) is None
    )


def test_the_command_names_model_concept_seed_and_verifier():
    recipe = replace(PRESETS["fast"], seed=4).to_json()
    words = (reproduce.format_command(add_opinion(make_map("tiger cat", recipe=recipe))) or "").replace(" \\\n ", "")
    assert words == (
        "phosphene map efficientnet_lite0 'tiger cat' --preset fast --seed 4 --verifier efficientnet_lite2 --out again"
    )


@pytest.mark.parametrize(
    ("judge", "words"), [("nets:build", ""), ("file:net.onnx", "--verifier net.onnx"), ("own", "")]
)
def test_the_command_names_no_judge_that_verifier_cannot_open(judge, words):
    saliency = add_opinion(make_map("tiger cat"))
    (opinion,) = saliency.scores.opinions
    asked = replace(saliency, scores=replace(saliency.scores, opinions=(replace(opinion, model=judge),)))
    asked_words, alone = (
        (reproduce.format_command(one) or "").replace(" \\\n ", "") for one in (asked, make_map("tiger cat"))
    )
    assert asked_words == alone.replace("--out", f"{words} --out".strip())


@pytest.mark.parametrize(
    ("name", "opened", "command", "python"),
    [
        (
            "timm:resnet10t",
            (("weights", "my own.safetensors"), ("labels", "ten.txt"), ("mean", "0"), ("output", "logits")),
            "timm:resnet10t --weights 'my own.safetensors' --mean 0 --labels ten.txt --output logits ",
            "phosphene.load('timm:resnet10t', weights='my own.safetensors', mean=(0.5,), labels='ten.txt', "
            "output='logits')",
        ),
        (
            "clip:small",
            (("contrast", "texts.txt"), ("rm", "-rf")),
            "clip:small --contrast texts.txt ",
            "phosphene.load('clip:small', contrast='texts.txt')",
        ),
        (
            "file:net.pt",
            (("trust_pickle", "True"), ("labels", "FILE"), ("double", "True")),
            "net.pt --size 8 --channels 1 --mean 0.5 --std 0.25 --labels FILE --trust-pickle --double ",
            "phosphene.load('net.pt', size=(8, 8), channels=1, mean=(0.5,), std=(0.25,), labels=FILE, "
            "trust_pickle=True, double=True)",
        ),
        (
            "mine:build",
            (("size", "8"), ("outputs", "sigmoid")),
            "--factory mine:build --size 8 --channels 1 --mean 0.5 --std 0.25 --outputs sigmoid ",
            "phosphene.load(factory='mine:build', size=(8, 8), channels=1, mean=(0.5,), std=(0.25,), "
            "outputs='sigmoid')",
        ),
        (
            "mine:build",  # of an artifact that does not say it
            (),
            "--factory mine:build --weights FILE --size 8 --channels 1 --mean 0.5 --std 0.25 ",
            "phosphene.load(factory='mine:build', weights=FILE, size=(8, 8), channels=1, mean=(0.5,), std=(0.25,))",
        ),
    ],
)
def test_how_the_model_was_opened_is_said_again(name, opened, command, python):
    form = InputFormat((8, 8), 1, (0.5,), (0.25,))
    record = ModelRecord(name, "5eed" * 16, form, 10, opened=opened)
    saliency = replace(make_map("3", 3, recipe=PRESETS["fast"].to_json()), model=record)
    words = reproduce.format_command(saliency).replace(" \\\n ", "")
    assert words.startswith(f"phosphene map {command}".rstrip() + " 3 ")
    assert python in reproduce.format_snippet(saliency)


def test_a_map_remembers_how_its_model_was_opened(tmp_path):
    file = tmp_path / "net.pt"
    torch.manual_seed(0)
    torch.save(nn.Sequential(nn.Conv2d(3, 4, 8), nn.Flatten()), file)
    given = {"size": 8, "channels": 3, "mean": 0.0, "std": [0.2, 0.3, 0.4], "labels": list("abcd")}
    classifier = phosphene.load(file, trust_pickle=True, **given)
    phosphene.make_maps(classifier, ["b"], replace(PRESETS["fast"], iterations=2), out=tmp_path / "maps")
    record = SaliencyMap.load(tmp_path / "maps" / "b.safetensors").model
    assert record.opened == (
        ("size", "8,8"), ("channels", "3"), ("mean", "0.0"), ("std", "0.2,0.3,0.4"), ("labels", "FILE"),
        ("trust_pickle", "True"),
    )  # fmt: skip
    assert str(tmp_path) not in str(record.opened)


def test_a_class_whose_name_is_shared_is_asked_for_by_its_index():
    assert reproduce.concept_argument(make_map("crane (134)", 134)) == "134"


@pytest.mark.parametrize("name", ["inferno", "RdBu_r"])
def test_colour_maps_are_what_the_captions_say(name):
    dark, bright = torch.zeros(8, 8), torch.ones(8, 8)
    if name == "inferno":
        assert max(render.render_heat(dark).getpixel((0, 0))) < 10
        assert min(render.render_heat(bright).getpixel((0, 0))) > 150
    else:
        red, _, blue = render.render_signed(torch.cat([dark + 1, dark - 1], dim=1)[None]).getpixel((0, 0))
        assert red > blue
        red, _, blue = render.render_signed(torch.cat([dark - 1, dark + 1], dim=1)[None]).getpixel((0, 0))
        assert blue > red


def test_an_overlay_glows_where_the_importance_is_and_is_dim_elsewhere():
    importance = torch.zeros(32, 32)
    importance[:, 16:] = 1.0
    shown = render.render_overlay(importance, torch.ones(3, 32, 32))
    assert shown.getpixel((0, 0)) == (115, 115, 115)
    assert shown.getpixel((31, 0)) == render.render_heat(torch.ones(1, 1)).getpixel((0, 0))


def test_a_strip_shows_the_frames_in_order():
    frames = torch.stack([torch.full((1, 8, 8), level, dtype=torch.uint8) for level in (0, 100, 200)])
    strip = render.render_strip(frames, side=32)
    assert [strip.getpixel((x, 16))[0] for x in (16, 49, 82)] == [0, 100, 200]
    assert strip.size == (3 * 32 + 2, 32)


def test_a_gif_rests_on_its_last_frame():
    gif = Image.open(io.BytesIO(render.gif_bytes(make_map("goldfish").development)))
    durations = []
    for frame in range(gif.n_frames):
        gif.seek(frame)
        durations.append(gif.info["duration"])
    assert durations == [render.GIF_FRAME] * 5 + [render.GIF_LAST]
    assert gif.info["loop"] == 0


def test_few_pixels_are_enlarged_as_squares():
    image = render.rescale(Image.fromarray((torch.eye(4) * 255).byte().numpy()), 64)
    assert set(image.get_flattened_data() if hasattr(image, "get_flattened_data") else image.getdata()) == {0, 255}
    assert image.size == (64, 64)


def test_a_sparkline_spans_its_box_and_leaves_out_what_is_not_a_number():
    assert render.draw_sparkline([1.0]) == ""
    line = re.search(
        r'polyline points="([^"]+)"', render.draw_sparkline([0.0, float("nan"), 1.0], width=100, height=20)
    )
    assert line is not None
    assert line[1] == "0.0,17.0 100.0,3.0"


def test_embedded_pictures_are_the_artifacts_own(written, maps):
    """The small grey map is embedded without loss, so it can be compared pixel by pixel."""
    section = written.read_text().split('id="map-3"')[1]
    uri = re.search(r'src="data:image/png;base64,([^"]+)"', section)
    assert uri is not None
    pixels = Image.open(io.BytesIO(base64.b64decode(uri[1])))
    assert pixels.tobytes() == to_image(maps[2].raw_picture).tobytes()


def test_the_page_names_the_weights(written, maps):
    assert maps[0].model.fingerprint[:12] in written.read_text()
    assert json.dumps(maps[0].model.outputs) in written.read_text()


def test_maps_of_version_0_1_are_read():
    saliency = SaliencyMap.load(OLD / "3.safetensors")
    scores = saliency.scores
    assert scores.fidelity.probability == pytest.approx(0.000402, abs=1e-6)
    assert set(scores.fidelity_elsewhere) == {"uniform", "pink", "flat"}
    assert scores.restarts == 2
    assert [(opinion.model, opinion.top1) for opinion in scores.opinions] == [("another grey", False)]
    assert {"recognition", "agnosticity", "gain", "digest"} <= set(scores.evidence)
    assert saliency.model.fingerprint == models.grey_classifier().fingerprint


def test_a_folder_of_version_0_1_is_reported(tmp_path):
    folder = Path(shutil.copytree(OLD, tmp_path / "maps"))
    text = write_report(folder).read_text()
    for name in ("3", "7"):
        fidelity = SaliencyMap.load(folder / f"{name}.safetensors").scores.fidelity
        assert f'<data value="{fidelity.probability}">' in text
    assert "another grey" in text
    assert 'id="evidence-recognition"' in text
    assert re.search(r'<th scope="row">restarts</th><td>2</td>', text)
    assert "Outdated" not in text


OF_0_1 = phosphene.Recipe(iterations=4, restarts=2, coarse=0.4)  # what the maps of version 0.1 were made by


def test_a_recipe_of_version_0_1_leads_to_python_lines_of_today():
    snippet = reproduce.format_snippet(SaliencyMap.load(OLD / "3.safetensors"))
    (call,) = re.findall(r"^recipe = (.*?)^\[saliency", snippet, re.M | re.S)
    recipe = eval(call, {"phosphene": phosphene, "dataclasses": dataclasses})
    assert recipe == OF_0_1


def test_a_run_over_a_folder_of_version_0_1_keeps_its_maps(tmp_path):
    folder = Path(shutil.copytree(OLD, tmp_path / "maps"))
    before = {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}
    maps = make_maps(models.grey_classifier(), ["3", "7"], OF_0_1, out=folder)
    assert [saliency.concept for saliency in maps] == ["3", "7"]
    assert {path.name: path.read_bytes() for path in folder.glob("*.safetensors")} == before


def test_beyond_a_hundred_maps_the_page_is_an_overview_with_links_to_pages_of_maps(tmp_path, monkeypatch):
    monkeypatch.setattr(map_page, "MANY", 2)
    save_run(tmp_path, *(make_map(name, number) for number, name in enumerate(("goldfish", "zebra", "daisy"))))
    overview = write_report(tmp_path).read_text()
    linked = re.findall(r'class="card" href="(report-\d+\.html)#(map-\d+)"', overview)
    assert linked == [("report-1.html", "map-1"), ("report-1.html", "map-2"), ("report-2.html", "map-3")]
    for page, anchor in linked:
        text = (tmp_path / page).read_text()
        assert f'id="{anchor}"' in text
        assert 'href="report.html#top"' in text
    assert '<section class="map"' not in overview
