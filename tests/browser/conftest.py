"""One Chromium a module, driven by Playwright; a page of it fails its test where the browser's console complains.

Playwright's loop runs in the thread of the tests while a browser is open, so it is closed with its module. All
tests here run in one worker, one after another. Where CI is true or HEADRACE_BROWSER is set, a missing browser
fails them; elsewhere they are skipped.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser_types import Examines, Opens
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDE: ViewportSize = {"width": 1200, "height": 750}
NARROW: ViewportSize = {"width": 360, "height": 700}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder runs in the same worker."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.xdist_group("browser"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium of the system; never one that Playwright fetched."""
    path = shutil.which("chromium")
    if path is None:
        if os.environ.get("CI") == "true" or os.environ.get("HEADRACE_BROWSER"):
            pytest.fail("there is no chromium: apt-get install chromium")
        pytest.skip("there is no chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def opens(browser: Browser) -> Iterator[Opens]:
    """Opens pages, each in a context of its own; what their consoles complain of fails the test."""
    complaints: list[str] = []
    contexts = []

    def open_page(*, language: str = "en", theme: str = "light") -> Page:
        locale = {"en": "en-US", "zh": "zh-CN"}[language]
        scheme = "dark" if theme == "dark" else "light"
        context = browser.new_context(viewport=WIDE, locale=locale, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on(
            "console",
            lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None,
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture(scope="session")
def examines() -> Examines:
    """axe finds no violation on a page, and nothing of it is wider than 360 px where the screen is."""
    axe = Axe()

    def examine(page: Page) -> None:
        found = axe.run(page, options={"resultTypes": ["violations"]})
        assert found.violations_count == 0, f"{page.url}\n{found.generate_report()}"
        page.set_viewport_size(NARROW)
        assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"], page.url
        page.set_viewport_size(WIDE)

    return examine
