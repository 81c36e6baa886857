"""Pages as a reader meets them: fixtures that open a file in a real, headless Chromium."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PHONE, DESKTOP = 360, 1280


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    """The system's Chromium, for pytest-playwright's `browser`."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.fail("no browser for the tests of pages: install Chromium (apt-get install chromium) or Google Chrome")
    return {"executable_path": found, "args": ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]}


@dataclass
class Visit:
    """An open page and everything it did that a report must not do."""

    page: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)


@pytest.fixture
def visit(browser: Any) -> Iterator[Any]:
    contexts = []

    def opened(path: Path, width: int = DESKTOP, scheme: str = "light") -> Visit:
        contexts.append(browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme))
        visited = Visit(contexts[-1].new_page())
        visited.page.on("request", lambda request: visited.requests.append(request.url))
        visited.page.on("console", lambda message: visited.complaints.append(message.text))
        visited.page.on("pageerror", lambda error: visited.complaints.append(str(error)))
        visited.page.on("dialog", lambda dialog: (visited.dialogs.append(dialog.message), dialog.dismiss()))
        visited.page.goto(path.as_uri())
        visited.page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        return visited

    yield opened
    for context in contexts:
        context.close()
