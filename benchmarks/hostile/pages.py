"""The page of a thousand maps in a browser: how long it takes to open, and how much the browser holds.

Needs Chromium and the package playwright, as the tests of pages do.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.hostile.memory import MAPS, write_thousand
from phosphene.errors import BadInput

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
TIMES = 5


def measure(work: Path) -> list[dict[str, Any]]:
    """Each page of the report of a thousand maps, opened a few times in a new tab."""
    folder = work / "thousand"
    write_thousand(folder)
    pages = [folder / "report.html", *sorted(folder.glob("report-*.html"))[:1]]
    return [open_page(page) for page in pages]


def open_page(page: Path) -> dict[str, Any]:
    """Until everything is loaded, painted, and answers a script."""
    from playwright.sync_api import sync_playwright

    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        raise BadInput("no browser: install Chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        seconds, nodes = [], 0
        for _ in range(TIMES):
            tab = browser.new_page(viewport={"width": 1280, "height": 800})
            started = time.perf_counter()
            tab.goto(page.as_uri())
            nodes = tab.evaluate("new Promise(done => requestAnimationFrame(() => "
                                 "done(document.querySelectorAll('*').length)))")  # fmt: skip
            seconds.append(time.perf_counter() - started)
            tab.close()
        browser.close()
    return {
        "page": page.name,
        "maps in the run": MAPS,
        "MB": round(page.stat().st_size / 1e6, 1),
        "nodes": nodes,
        "seconds to open, median": round(median(seconds), 2),
        "slowest": round(max(seconds), 2),
    }
