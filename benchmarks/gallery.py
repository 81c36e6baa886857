"""How a gallery behaves in headless Chromium: weight, time to the first view, frames while it scrolls, search, sort.

python -m benchmarks.gallery DIR/gallery
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from playwright.sync_api import Page, sync_playwright

from benchmarks.record import markdown, write_result

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FRAMES = """async () => {
  const times = [];
  await new Promise(done => {
    const start = performance.now();
    const step = now => {
      times.push(now);
      scrollBy(0, 40);
      now - start < 3000 ? requestAnimationFrame(step) : done();
    };
    requestAnimationFrame(step);
  });
  return times.slice(1).map((time, place) => time - times[place]);
}"""
TIMED = """(change) => new Promise(done => {
  const start = performance.now();
  eval(change);
  requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - start)));
})"""
SORT = "sort.value = 'fidelity'; sort.dispatchEvent(new Event('change'))"
SEARCH = "search.value = 'dog'; search.dispatchEvent(new Event('input'))"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args(arguments).folder
    rows = [measure(folder)]
    print(markdown(rows))
    write_result("gallery", "python -m benchmarks.gallery DIR/gallery", {}, rows)


def measure(folder: Path) -> dict[str, Any]:
    browser = next(path for name in BROWSERS if (path := shutil.which(name)))
    thumbnails = sum(path.stat().st_size for path in folder.glob("thumbs/**/*.webp"))
    wall = (folder / "index.html").stat().st_size
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        page = opened.new_page(viewport={"width": 1280, "height": 800})
        loaded: list[str] = []
        page.on("request", lambda request: loaded.append(request.url))
        seconds = open_wall(page, folder)
        first = wall + (folder / "style.css").stat().st_size + count_bytes(folder, loaded)
        frames = page.evaluate(FRAMES)
        sort, search = (page.evaluate(TIMED, change) for change in (SORT, SEARCH))
        classes = page.locator(".tile").count()
        opened.close()
    return {
        "classes": classes,
        "wall, MB": round((wall + thumbnails) / 1e6, 2),
        "first view, MB": round(first / 1e6, 2),
        "s to the first view": round(seconds, 2),
        "frames a second": round(1000 / median(frames)),
        "slowest of 100 frames, ms": round(sorted(frames)[int(0.99 * len(frames))]),
        "ms to sort": round(sort),
        "ms to search": round(search),
    }


def open_wall(page: Page, folder: Path) -> float:
    """Seconds until every picture that is in view has been drawn."""
    started = time.perf_counter()
    page.goto((folder / "index.html").absolute().as_uri(), wait_until="domcontentloaded")
    page.wait_for_function(
        "[...document.images].filter(one => one.getBoundingClientRect().top < innerHeight).every(one => one.complete)"
    )
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return time.perf_counter() - started


def count_bytes(folder: Path, urls: list[str]) -> int:
    """Bytes of the small pictures among the requests."""
    names = {url.rsplit("thumbs/")[-1] for url in urls if url.endswith(".webp")}
    return sum((folder / "thumbs" / name).stat().st_size for name in names)


if __name__ == "__main__":
    main()
