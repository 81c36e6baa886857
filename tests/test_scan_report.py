"""The page of a scan as a reader meets it, made of records that no model had to be trained for."""

from __future__ import annotations

import base64
import html
import io
import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from browser import DESKTOP, PHONE
from command import phosphene
from phosphene.cli.scan import describe_scan
from phosphene.core.records import to_plain
from phosphene.errors import DamagedArtifact
from phosphene.model.input_format import InputFormat
from phosphene.model.record import ModelRecord
from phosphene.report.page import format_p_value
from phosphene.report.scan import drawings, rerun, wording
from phosphene.report.scan.page import render_scan, write_scan_report
from phosphene.scanner.record import (
    VERDICTS,
    Calibration,
    ClassEvidence,
    Curve,
    Named,
    Pairs,
    Scan,
    Stage,
    Trigger,
    encode_picture,
)
from phosphene.scanner.settings import Settings

SCRIPT = "<script>alert(1)</script>"
LONG = "a class with a verylongwordthatwouldneverfitonthescreenofaphonehoweversmallthelettersare in it"
NAMES = ["fox", "hare", SCRIPT, LONG, "owl", "mole & vole", "newt", "wasp", "crow", "toad"]
STATISTICS = ("patch", "additive", "colour", "warp", "confidence", "row_mean", "head", "never heard of")


def made(names: list[str] = NAMES, aim: int = 2, side: int = 28, **changes: Any) -> Scan:
    """A scan in which class `aim` stands out and every number differs from every other."""
    count, aimed = len(names), Named(aim, names[aim])
    classes = tuple(
        ClassEvidence(
            index, name, 5.125 if index == aim else math.sin(index) - index / 1e4,
            {one: math.cos(index + place) for place, one in enumerate(STATISTICS)},
            {one: math.sin(index + place) + 5 * (index == aim) for place, one in enumerate(STATISTICS)},
            "long" if index == aim else "short",
        )
        for index, name in enumerate(names)
    )  # fmt: skip
    areas = (0.0, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0)
    entries: dict[str, Any] = {
        "model": ModelRecord("my.models:build", "5eed" * 16, InputFormat((side, side), 1, (0.5,), (0.25,)), count),
        "verdict": "backdoor-like", "p_value": 0.00875, "p_internal": 0.00175, "p_external": 1 / 61,
        "target": aimed, "classes": classes, "absolutes": {"level patch": -0.75}, "score": 5.25,
        "trigger": trigger(aimed, side),
        "curve": Curve(areas, {"trigger": tuple(min(1.0, 8 * area) for area in areas),
                               "shuffled in place": tuple(area / 5 for area in areas),
                               "other classes": tuple(area / 7 for area in areas)}),
        "pairs": pairs(count, aim), "asymmetry": {"forward": 1.5, "backward": -0.25, "difference": 1.75},
        "stability": {"restarts": 3.0, "agreement": 0.875, "log_size_deviation": 0.0625},
        "stages": (Stage("probes", count, 0.5, 120), Stage("short patch", count, 7.75, 4800), Stage("long", 4, 2.5, 999)),
        "checks": ("no convincing surrogate image of newt",), "not_covered": ("dynamic <triggers>", "all else"),
        "calibration": Calibration("clean models of somebody", 60, ()), "settings": to_plain(Settings(seed=11)),
        "versions": {"phosphene": "0.1.0", "torch": "2.6.0"}, "seconds": 12.25, "passes": 5919, "seed": 11,
    }  # fmt: skip
    return Scan(**entries | changes)


def trigger(target: Named, side: int) -> Trigger:
    mask = torch.zeros(1, side, side)
    mask[:, 3:6, 20:24] = 1.0
    drawn = [torch.rand(1, side, side, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
    return Trigger(target, "patch", 0.9375, 0.0153, (20, 3, 24, 6), *map(encode_picture, (mask, *drawn)))


def pairs(count: int, target: int) -> Pairs:
    rows = tuple(
        tuple(0.0 if row == column else 1 + row / 64 + 3 * (column == target) for column in range(count))
        for row in range(count)
    )
    return Pairs(tuple(range(count)), rows)


def nothing(**changes: Any) -> Scan:
    """A scan that accuses nobody."""
    harmless = {"verdict": "nothing found", "p_value": 0.5, "p_internal": 0.25, "p_external": 0.75}
    return made(**{**harmless, "target": None, **changes})


def text_of(scan: Scan) -> str:
    """What the page says, without its tags and styles."""
    body = re.sub(r"<style>.*?</style>", "", render_scan(scan), flags=re.S)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", "", body)))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scan_report(made(), tmp_path_factory.mktemp("scan") / "scan.html")


@pytest.mark.browser
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_opens_in_silence_and_fits_the_screen(written, visit, tmp_path, width, scheme):
    visited = visit(written, width, scheme)
    screenshot = tmp_path / f"scan-{width}-{scheme}.png"
    visited.page.screenshot(path=screenshot, full_page=True)
    print(f"screenshot: {screenshot}")
    assert visited.complaints == []
    assert visited.dialogs == []
    assert {url for url in visited.requests if not url.startswith("data:")} == {written.as_uri()}
    assert visited.page.evaluate("document.documentElement.scrollWidth") <= width
    outside = """all => all.filter(one => !one.closest('.scroll, pre'))
        .filter(one => one.getBoundingClientRect().right > innerWidth).map(one => one.outerHTML.slice(0, 80))"""
    assert visited.page.eval_on_selector_all("body *", outside) == []


@pytest.mark.browser
def test_verdict_target_and_p_values_are_those_of_the_record(written, visit):
    page, scan = visit(written).page, made()
    assert page.locator(".verdict").inner_text() == scan.verdict
    assert page.locator("#target").inner_text() == f"{SCRIPT} (2)"
    assert SCRIPT in page.locator("h1").inner_text()
    shown = {name: float(page.locator(f"#p-{name} data").get_attribute("value"))
             for name in ("combined", "internal", "external")}  # fmt: skip
    assert shown == {"combined": scan.p_value, "internal": scan.p_internal, "external": scan.p_external}
    assert page.locator("#p-external").inner_text().count("0 of 60 clean reference models") == 1
    cells = page.locator("#stability data").evaluate_all("all => all.map(one => Number(one.value))")
    assert cells == list(scan.stability.values())
    passes = page.locator(".stages tbody tr td:nth-child(3) data").evaluate_all("all => all.map(one => +one.value)")
    assert passes == [120, 4800, 999, 5919]


@pytest.mark.browser
def test_the_ranking_holds_every_class_and_statistic_in_the_order_of_the_scores(written, visit):
    rows = visit(written).page.locator("#classes .ranking tbody tr")
    ranking = made().ranking()
    scores = rows.locator("td:nth-child(2) data").evaluate_all("all => all.map(one => Number(one.value))")
    assert scores == [one.score for one in ranking]
    assert rows.first.locator("th").inner_text() == f"1. {SCRIPT} 2"
    shown = rows.nth(4).locator(".raw").all_inner_texts()
    columns = wording.order_statistics(STATISTICS)
    assert shown == [f"{ranking[4].statistics[name]:.2f}".replace("-", "−") for name in columns]
    assert columns[-1] == "never heard of"


@pytest.mark.browser
def test_a_class_called_script_is_text_everywhere(written, visit):
    visited = visit(written)
    assert visited.page.evaluate("document.scripts.length") == 0
    assert SCRIPT not in written.read_text()
    assert "<triggers>" not in written.read_text()


@pytest.mark.browser
def test_pictures_are_the_records_own_and_keep_their_pixels(written, visit):
    page, scan = visit(written).page, made()
    shown = page.locator(".tiles img")
    assert shown.evaluate_all("all => [...new Set(all.map(one => getComputedStyle(one).imageRendering))]") == [
        "pixelated"
    ]
    assert shown.evaluate_all("all => all.map(one => one.naturalWidth)") == [28] * 4
    assert min(shown.evaluate_all("all => all.map(one => one.width)")) >= 150
    given = [getattr(scan.trigger, name) for name in ("mask", "pattern", "example", "stamped")]
    assert [uri.partition(",")[2] for uri in shown.evaluate_all("all => all.map(one => one.src)")] == given


@pytest.mark.browser
def test_the_candidate_rises_before_its_controls_on_the_curve(written, visit):
    """The polylines are placed by the record: at 4% of the area the candidate stands at 32%, its controls below 1%."""
    page = visit(written).page
    points = {kind: page.locator(f".plot .{kind} polyline").get_attribute("points").split()
              for kind in ("plus", "minus", "random")}  # fmt: skip
    heights = {kind: [float(point.split(",")[1]) for point in places] for kind, places in points.items()}
    foot, top = heights["plus"][0], heights["plus"][-1]
    share = {kind: (foot - places[4]) / (foot - top) for kind, places in heights.items()}
    assert share["plus"] == pytest.approx(0.32, abs=0.01)
    assert max(share["minus"], share["random"]) < 0.01
    across = [float(point.split(",")[0]) for point in points["plus"]]
    assert across == sorted(across)


@pytest.mark.browser
def test_all_text_of_the_page_can_be_read_by_day_and_by_night(written, visit):
    from test_report import CONTRASTS

    for scheme in ("light", "dark"):
        contrasts = visit(written, scheme=scheme).page.evaluate(CONTRASTS)
        assert len(contrasts) > 150
        assert [entry for entry in contrasts if entry[0] < 4.5] == [], scheme


@pytest.mark.parametrize("verdict", VERDICTS)
def test_every_verdict_has_its_sentences_and_none_claims_more_than_it_can(verdict):
    accusing = verdict in ("backdoor-like", "suspicious", "natural weak spot")
    scan = made(verdict=verdict) if accusing else nothing(verdict=verdict)
    text = text_of(scan)
    assert wording.write_headline(scan) in text
    assert (SCRIPT in wording.write_headline(scan)) == accusing
    assert wording.WORDINGS[verdict].means in text
    assert all(sentence in text for sentence in wording.list_advice(scan))
    said = " ".join([wording.write_headline(scan), wording.WORDINGS[verdict].means, *wording.list_advice(scan)]).lower()
    assert not re.search(r"\b(is|has been) (backdoored|poisoned|infected|clean|safe|trojaned)\b", said)
    assert (wording.NO_ACCUSATION in text) == (not accusing)


def test_nothing_found_is_never_called_clean():
    said = wording.write_headline(nothing())
    assert said == "Nothing found, which does not mean clean"


def test_every_verdict_has_its_words():
    assert set(wording.WORDINGS) == set(VERDICTS)


def test_what_is_not_covered_is_listed_whatever_the_verdict():
    for scan in (made(), nothing()):
        assert "dynamic <triggers>" in text_of(scan)
        assert "all else" in text_of(scan)


def test_the_curve_is_put_into_words():
    said = "Half of the images become “owl” at 8% of the area with the candidate; never with the same change"
    assert wording.explain_curve(made().curve, Named(4, "owl")).startswith(said)


def test_the_frameworks_are_named():
    text = text_of(made())
    assert "AML.T0018 Manipulate AI Model" in text
    assert "MEASURE 2.7" in text


def test_a_model_outside_the_calibration_range_is_marked():
    outside = made(p_external=None, calibration=Calibration("few", 60, ("classes: 7, references 10, 43",)))
    text = text_of(outside)
    assert "Outside the calibration range." in text
    assert "classes: 7, references 10, 43" in text
    assert "Not used: the clean reference models do not cover this model" in text
    assert "Outside the calibration range." not in text_of(made())


def test_a_class_without_a_name_is_said_once():
    named, nameless = made(aim=0), made([str(index) for index in range(3)])
    assert 'id="target">fox (0)</dd>' in render_scan(named)
    assert 'id="target">2</dd>' in render_scan(nameless)
    assert "target: 0 fox\n" in describe_scan(named)
    assert "target: 2\n" in describe_scan(nameless)
    assert f"{5.125:6.2f}  2\n" in describe_scan(nameless)


def test_a_scan_without_trigger_curve_pairs_and_measures_is_still_a_page():
    bare = nothing(trigger=None, curve=None, pairs=None, asymmetry={}, stability={}, absolutes={}, checks=(), stages=())
    page = render_scan(bare)
    assert "<img" not in page
    assert 'id="pairs"' not in page
    assert "None: no search reached a candidate." in page
    assert "None was raised." in page


def test_a_thousand_classes_fit_and_only_the_first_are_in_sight():
    scan = made([f"class number {index}" for index in range(1000)], side=224, pairs=pairs(43, 2))
    page = render_scan(scan)
    assert len(page.encode()) < 3_000_000
    in_sight, _, folded = page.partition("The other 975 classes")
    assert in_sight.count("class number 999") + folded.count("class number 999") >= 1
    assert len(re.findall(r'<th scope="row"><span class="quiet">', in_sight)) == 25
    assert len(re.findall(r'<th scope="row"><span class="quiet">', folded)) == 975


def test_more_pairs_than_fit_leave_the_hardest_classes_out_and_say_so():
    scan = made([f"c{index}" for index in range(60)], aim=49)
    drawn = drawings.build_grid(scan.pairs, [one.name for one in scan.classes], 49)
    assert (len(drawn.rows), drawn.left_out) == (43, 17)
    assert ("49", True) in [(label, marked) for _, label, marked in drawn.columns]
    assert "The 17 classes that are hardest to reach are left out here." in text_of(scan)


def test_the_darkest_column_of_the_pairs_is_the_target():
    drawn = drawings.build_grid(pairs(10, 6), [str(index) for index in range(10)], 6)
    shades = {name: [cell.shade for cell in drawn.cells if cell.target == name] for name in map(str, range(10))}
    assert min(shades["6"]) > max(shade for name, column in shades.items() if name != "6" for shade in column)
    assert {len(column) for column in shades.values()} == {9}


def test_a_scan_whose_numbers_are_all_alike_is_drawn():
    same = tuple(replace(one, score=0.0) for one in made().classes)
    flat = Pairs((0, 1), ((0.0, 1.0), (1.0, 0.0)))
    assert "NaN" not in render_scan(nothing(classes=same, pairs=flat))


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0, "<0.001"), (0.0009, "<0.001"), (0.00875, "0.0088"), (0.5, "0.5"), (1, "1")]
)
def test_a_p_value_is_neither_zero_nor_overprecise(value, shown):
    assert format_p_value(value) == shown


def test_all_classes_through_every_stage_is_only_said_where_it_is_so():
    assert "but these" in wording.explain_stages(made())
    whole = made(stages=(Stage("short", 10, 1.0, 9),))
    assert wording.explain_stages(whole) == "All 10 classes went through every stage."


def test_the_command_and_the_python_lines_lead_to_the_same_settings():
    scan = made()
    words = (rerun.format_scan_command(scan) or "").replace("\\\n ", "")
    assert "--factory my.models:build --weights FILE --size 28 --channels 1 --mean 0.5 --std 0.25" in words
    assert "--seed 11" in words
    built = rerun.format_scan_snippet(scan).split("settings = ")[1].split("\nresult")[0]
    assert eval(built, {"Settings": Settings}) == Settings(seed=11)
    assert rerun.format_scan_command(made(model=replace(scan.model, name="a module of mine"))) is None


def test_writing_again_gives_the_same_bytes(tmp_path, written):
    assert write_scan_report(made(), tmp_path / "again.html").read_bytes() == written.read_bytes()


def test_the_page_can_be_made_of_the_json_alone(tmp_path, written):
    made().save(tmp_path / "scan.json")
    outcome = phosphene("report", tmp_path / "scan.json", "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out) == {"report": str(tmp_path / "scan.html")}
    assert (tmp_path / "scan.html").read_bytes() == written.read_bytes()


def broken(path: Path, *keys: Any, value: Any) -> Path:
    record = made().to_json()
    place = record
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    path.write_text(json.dumps(record))
    return path


def gif() -> str:
    stream = io.BytesIO()
    Image.new("L", (4, 4)).save(stream, "GIF")
    return base64.b64encode(stream.getvalue()).decode()


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("verdict",), "guilty"),
        (("classes",), []),
        (("p_value",), "small"),
        (("classes", 0, "score"), "high"),
        (("classes", 0, "outliers"), None),
        (("model",), {}),
        (("curve", "series"), [1, 2]),
        (("pairs", "classes"), [0, 99]),
        (("trigger", "mask"), "javascript:alert(1)"),
        (("trigger", "pattern"), gif()),
        (("trigger", "example"), '"><script>alert(1)</script>'),
    ],
)
def test_a_record_that_no_scan_wrote_is_refused_in_one_line(tmp_path, keys, value):
    outcome = phosphene("report", broken(tmp_path / "scan.json", *keys, value=value))
    assert outcome.code == 2, outcome.out
    assert outcome.err.count("\n") == 1
    assert "expected" in outcome.err
    assert not (tmp_path / "scan.html").exists()


def test_a_picture_that_is_none_is_refused():
    with pytest.raises(DamagedArtifact, match="is no PNG"):
        drawings.embed_png("AAAA", "mask")


def test_a_report_that_could_not_be_written_is_refused_before_the_scan():
    outcome = phosphene("scan", "efficientnet_lite0", "--report", "no/such/folder/scan.html")
    assert outcome.code == 2
    assert outcome.err == "phosphene: --report is 'no/such/folder/scan.html'; expected a file in a folder that exists\n"


def test_a_change_that_sends_nothing_is_not_said_to_send_something():
    """A budget for a thousand classes buys searches that turn no image."""
    found = nothing()
    assert found.trigger is not None
    in_vain = nothing(trigger=replace(found.trigger, flip_rate=0.0))
    sends, searched = "The smallest change found that sends images", "No change was found that sends images"
    assert sends in text_of(found)
    assert searched not in text_of(found)
    assert searched in text_of(in_vain)
    assert sends not in text_of(in_vain)
