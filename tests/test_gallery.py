"""The gallery as a reader meets it: in a real browser, on a phone and a desktop, by day and by night, without a script."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from browser import DESKTOP, PHONE
from command import phosphene
from phosphene.atlas.record import Atlas, Neighbour
from phosphene.atlas.survey import describe_class
from phosphene.errors import ArtifactError, BadInput
from phosphene.method.fidelity import Fidelity
from phosphene.report.gallery import write_gallery
from phosphene.report.gallery.cards import Card, Side
from phosphene.report.gallery.shelf import open_folder
from phosphene.report.gallery.site import render_wall
from phosphene.runs.reference import MapReference
from phosphene.runs.scores import PictureScore
from phosphene.runs.store import file_stem
from test_report import LONG, SCRIPT, add_opinion, make_map, save_run

FAMILIES = {
    "goldfish": "Fish",
    "shark": "Fish",
    "beagle": "Dogs",
    SCRIPT: "Dogs",
    LONG: "Other things",
    "cup": "Other things",
}
FIDELITY = {"goldfish": 0.9, "shark": 0.2, "beagle": 0.7, SCRIPT: 0.4, LONG: 0.95, "cup": 0.6}
SEEN = ("goldfish", "beagle", "cup")


def make_maps(side: int = 100, raised: float = 0.0):
    maps = [make_map(concept, number, side=side) for number, concept in enumerate(FAMILIES, start=1)]
    return [adjust(one, min(FIDELITY[one.concept] + raised, 1.0)) for one in maps]


def adjust(saliency, fidelity: float):
    seen = saliency.concept in SEEN
    scores = replace(
        saliency.scores, fidelity=Fidelity(fidelity, 1.0), bare_pictures=PictureScore(fidelity, seen, fidelity, seen)
    )
    changed = replace(saliency, scores=scores)
    return add_opinion(changed) if saliency.concept == "goldfish" else changed


def save_atlas(folder: Path, maps) -> Path:
    """A folder of maps with the atlas of them: each is the neighbour of the one after it."""
    save_run(folder, *maps)
    rows = []
    for number, one in enumerate(maps):
        reference = MapReference.to(one, folder / f"{file_stem(one.concept)}.safetensors")
        near = (Neighbour(maps[(number + 1) % len(maps)].concept, 0.5),)
        rows.append(replace(describe_class(one, reference, FAMILIES[one.concept]), neighbours=near))
    Atlas(maps[0].model, maps[0].recipe, maps[0].versions, tuple(rows)).save(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return save_atlas(tmp_path_factory.mktemp("atlas"), make_maps())


@pytest.fixture(scope="module")
def wall(folder) -> Path:
    return write_gallery([folder], folder / "gallery")


@pytest.fixture(scope="module")
def both(folder, tmp_path_factory) -> Path:
    other = save_atlas(tmp_path_factory.mktemp("other"), make_maps(raised=0.3)[:4])
    return write_gallery([folder, other], tmp_path_factory.mktemp("both"))


def names(page) -> list[str]:
    """What is shown, in the order on the page."""
    return page.evaluate(
        "[...document.querySelectorAll('.wall-cards > li')].filter(one => one.offsetParent).map(one => one.dataset.name)"
    )


@pytest.mark.browser
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_wall_and_page_open_in_silence_and_fit(wall, visit, tmp_path, width, scheme):
    for path in (wall, wall.parent / "classes" / "goldfish.html", wall.parent / "numbers.html"):
        visited = visit(path, width, scheme)
        screenshot = tmp_path / f"gallery-{path.stem}-{width}-{scheme}.png"
        visited.page.screenshot(path=screenshot, full_page=True)
        print(f"screenshot: {screenshot}")
        assert visited.complaints == []
        assert visited.dialogs == []
        outside = [u for u in visited.requests if not u.startswith(("data:", wall.parent.as_uri()))]
        assert outside == []
        assert visited.page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.browser
def test_every_picture_decodes_and_says_what_it_shows(wall, visit):
    page = visit(wall).page
    page.wait_for_function("[...document.images].every(one => one.complete)")
    sizes = page.evaluate("[...document.images].map(one => [one.naturalWidth, one.alt])")
    assert [size for size, _ in sizes] == [100] * 6
    assert sorted(alt for _, alt in sizes) == sorted(f"picture of {name}" for name in FAMILIES)


@pytest.mark.browser
def test_chapters_stand_in_their_order_with_their_classes(wall, visit):
    page = visit(wall).page
    assert [text.split()[0] for text in page.locator(".chapter-part h2").all_inner_texts()] == ["Dogs", "Fish", "Other"]
    assert names(page) == ["beagle", SCRIPT, "goldfish", "shark", LONG, "cup"]


@pytest.mark.browser
def test_search_finds_names_and_families(wall, visit):
    page = visit(wall).page
    page.keyboard.press("/")
    page.keyboard.type("fish")
    assert names(page) == ["goldfish", "shark"]  # a name, and a family
    assert page.locator("#count").inner_text() == "2 of 6 classes"
    page.keyboard.type("xyz")
    assert names(page) == []
    assert page.locator("#empty").is_visible()
    page.keyboard.press("Escape")
    assert len(names(page)) == 6


@pytest.mark.browser
def test_sorting_orders_all_and_turns_around(wall, visit):
    page = visit(wall).page
    by_fidelity = sorted(FIDELITY, key=FIDELITY.__getitem__)
    page.locator("#sort").select_option("fidelity")
    assert names(page) == by_fidelity
    page.locator("#order").click()
    assert names(page) == by_fidelity[::-1]
    page.locator("#sort").select_option("name")
    assert names(page) == sorted(FAMILIES, key=str.lower)
    page.locator("#sort").select_option("agreement")
    assert names(page)[0] == "goldfish"  # the others were judged by nobody
    page.locator("#sort").select_option("family")
    assert names(page) == ["beagle", SCRIPT, "goldfish", "shark", LONG, "cup"]
    assert page.locator(".chapter-part").first.is_visible()


@pytest.mark.browser
def test_the_wall_can_be_narrowed_and_remembers_it(wall, visit):
    page = visit(wall).page
    page.locator("#kind").select_option("unseen")
    assert set(names(page)) == set(FAMILIES) - set(SEEN)
    page.locator("#sort").select_option("fidelity")
    page.reload()
    assert names(page) == ["shark", SCRIPT, LONG]
    page.locator("#kind").select_option("low")
    assert names(page) == ["shark", SCRIPT]


@pytest.mark.browser
def test_arrows_move_over_the_wall_and_enter_opens(wall, visit):
    page = visit(wall).page

    def focused() -> str:
        return page.evaluate("document.activeElement.closest('li')?.dataset.name")

    page.keyboard.press("ArrowRight")
    assert focused() == "beagle"
    page.keyboard.press("ArrowRight")
    assert focused() == SCRIPT
    page.keyboard.press("ArrowDown")
    assert focused() == "shark"  # below it, in the next chapter
    page.keyboard.press("ArrowLeft")
    assert focused() == "goldfish"
    page.keyboard.press("ArrowUp")
    assert focused() == "beagle"
    page.keyboard.press("ArrowUp")
    assert focused() == "beagle"
    page.keyboard.press("Enter")
    page.wait_for_url("**/classes/beagle.html")


@pytest.mark.browser
def test_arrows_turn_the_pages_and_slash_goes_back_to_search(wall, visit):
    page = visit(wall.parent / "classes" / "goldfish.html").page
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**/classes/shark.html")
    page.keyboard.press("ArrowLeft")
    page.wait_for_url("**/classes/goldfish.html")
    page.keyboard.press("/")
    page.wait_for_url("**/index.html*")
    assert page.evaluate("document.activeElement.id") == "search"


@pytest.mark.browser
def test_without_a_script_every_page_can_be_read(wall, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(wall.as_uri())
    assert page.locator(".tile").count() == 6
    assert not page.locator(".bar").is_visible()
    page.get_by_role("link", name="goldfish").click()
    assert page.locator("h2").first.inner_text() == "goldfish"
    for said in ("90.0%", "Another model’s prediction", "Development", "Nearest classes"):
        assert page.get_by_text(said).first.is_visible(), said
    page.locator(".near a").click()
    assert page.locator("h2").first.inner_text() == "shark"
    page.get_by_role("link", name="goldfish").first.click()
    assert page.url.endswith("goldfish.html")
    context.close()


@pytest.mark.browser
def test_two_folders_stand_side_by_side(both, visit):
    visited = visit(both)
    page = visited.page
    card = page.locator("#c-goldfish")
    assert card.locator("img").count() == 2
    assert [text.strip() for text in card.locator("data").all_inner_texts()] == ["90.0%", ">99.9%"]
    assert page.locator("#c-cup .none").inner_text() == "no map"
    page.locator("#sort").select_option("difference")
    assert names(page)[:2] == [LONG, "cup"]  # of which there is one map only
    assert visited.complaints == []
    page.locator("#c-goldfish a").click()
    page.wait_for_url("**/classes/goldfish.html")
    assert page.locator("section.map").count() == 2
    assert page.locator(".pair img").count() == 2
    assert visited.complaints == []


@pytest.mark.browser
def test_a_wall_of_a_thousand_loads_what_is_seen(wall, folder, visit):
    side = Side("thumbs/0/goldfish.webp", 100, 100, False, 0.9, True, "goldfish", None, 0.5)
    cards = [Card(f"c{k}", f"class {k}", f"chapter {k // 50}", (side,)) for k in range(1000)]
    for card in cards:
        (wall.parent / f"thumbs/0/{card.stem}.webp").hardlink_to(wall.parent / "thumbs/0/goldfish.webp")
    cards = [replace(card, sides=(replace(side, thumbnail=f"thumbs/0/{card.stem}.webp"),)) for card in cards]
    path = wall.parent / "thousand.html"
    path.write_text(render_wall([open_folder(folder)], cards, []))
    visited = visit(path)
    visited.page.wait_for_load_state("networkidle")
    assert visited.page.locator(".tile").count() == 1000
    assert 10 < sum(url.endswith(".webp") for url in visited.requests) < 400
    assert path.stat().st_size < 1_000_000


def test_folders_that_make_no_gallery_are_refused(folder, tmp_path):
    with pytest.raises(BadInput, match="twice"):
        write_gallery([folder, folder], tmp_path / "out")
    with pytest.raises(ArtifactError, match="no finished maps"):
        write_gallery([tmp_path], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert phosphene("gallery", folder, folder, folder).code == 2


def test_maps_without_an_atlas_are_one_chapter(tmp_path):
    save_run(tmp_path, *make_maps()[:2])
    outcome = phosphene("gallery", tmp_path)
    assert outcome.code == 0
    page = (tmp_path / "gallery" / "index.html").read_text()
    assert "All pictures <small>2</small>" in page
    assert "Nearest classes" not in (tmp_path / "gallery" / "classes" / "goldfish.html").read_text()


def test_the_same_folder_makes_the_same_gallery(folder, wall, tmp_path):
    again = write_gallery([folder], tmp_path / "again")
    for path in again.parent.rglob("*.html"):
        assert path.read_bytes() == (wall.parent / path.relative_to(again.parent)).read_bytes()
