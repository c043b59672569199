"""The console in a real Chromium: every screen in both languages and themes, and an agent at work."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from browser_types import Examines, Opens
from console_stand import PASSWORD, ask, furnished
from playwright.sync_api import Page, expect

from headrace.web.console.navigation import SCREENS
from headrace.web.console.place import Console
from headrace.web.console.server import background


@dataclass(frozen=True)
class Running:
    """A console that listens."""

    console: Console
    url: str


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    console = furnished(tmp_path_factory.mktemp("furnished") / "project")
    with background(console) as url:
        yield Running(console, url)


def enter(page: Page, url: str, name: str = "olga") -> None:
    page.goto(f"{url}/login")
    page.locator("[name=name]").fill(name)
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("main button").click()
    expect(page.locator("nav")).to_be_visible()


def paths(console: Console, language: str) -> list[str]:
    """Every screen with what it opens; in English also what looks the same as another page but for its words."""
    project = console.project
    first, second = project.adapters()[0].id, project.adapters()[-1].id
    asked = project.answers(task="intent")[0].id
    found = project.answers(task="search")[0].id
    kinds = ("unsure", "checks", "held") if language == "en" else ()
    return [
        *(screen.path for screen in SCREENS),
        f"/adapters/{second}",
        f"/adapters/compare?pick={first}&pick={second}",
        f"/answers/{asked}",
        f"/answers/{found}",
        f"/queue/{console.desk.queue()[0].ticket.id}",
        "/knowledge/doc_quota_en",
        *(f"/labelling?kind={kind}" for kind in kinds),
    ]


@pytest.mark.parametrize(("language", "theme"), [("en", "light"), ("zh", "dark")])
def test_every_screen_is_accessible_and_fits(
    running: Running, opens: Opens, examines: Examines, language: str, theme: str
) -> None:
    page = opens(language=language, theme=theme)
    page.goto(f"{running.url}/login")
    examines(page)
    enter(page, running.url)
    for path in paths(running.console, language):
        assert page.goto(running.url + path).ok, path
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        examines(page)


def test_language_and_theme_are_switched_and_kept(running: Running, opens: Opens) -> None:
    page = opens()
    enter(page, running.url)
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_role("link", name="Theme").click()
    assert page.evaluate(ground) != light
    page.get_by_role("link", name="中文").click()
    expect(page.get_by_role("heading", name="循环")).to_be_visible()
    page.goto(f"{running.url}/data")
    assert page.locator("html").get_attribute("lang") == "zh-Hans"
    assert page.evaluate(ground) != light


def test_rows_are_labelled_by_keys(running: Running, opens: Opens) -> None:
    page = opens()
    enter(page, running.url)
    page.goto(f"{running.url}/labelling?kind=rows")
    before = {row.id: row for row in running.console.project.unlabelled()}
    first, second, *_ = before.values()
    expect(page.locator(".asked")).to_have_text(first.text)
    page.keyboard.press("ArrowRight")
    expect(page.locator(".asked")).to_have_text(second.text)
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".asked")).to_have_text(first.text)
    page.keyboard.press("1")
    expect(page.get_by_role("status").first).to_have_text("Stored.")
    assert (
        running.console.project.store.rows.get(first.id).label == running.console.project.labels("intent")[0]
    )


def test_an_agent_answers_a_customer_who_came_meanwhile(running: Running, opens: Opens) -> None:
    """No page is loaded again: the queue, its count in the title, and the conversation renew themselves."""
    desk = running.console.desk
    page = opens()
    enter(page, running.url, "alan")
    expect(page.locator(".tickets li")).to_have_count(len(desk.queue()))
    waited = len(desk.queue())
    conversation = ask(running.console, "how do we get a new key for a partner in norway")
    expect(page.locator(".tickets li")).to_have_count(waited + 1)
    expect(page).to_have_title(f"({waited + 1}) Queue · small")
    expect(page.locator("#told")).to_have_text("The queue has changed.")
    page.locator(".tickets a").last.click()
    desk.receive(conversation, "and for one in sweden")
    expect(page.locator(".messages")).to_contain_text("and for one in sweden")
    page.get_by_role("radio").nth(1).check()
    written = page.get_by_label("Your answer")
    expect(written).to_have_value("Run headrace key new CHANNEL.")
    written.fill("Run headrace key new norway, please.")
    page.get_by_role("button", name="Send to the customer").click()
    expect(page.locator(".said")).to_have_text("The answer is on its way to the customer.")
    last = desk.since(conversation, None)[-1]
    assert (last.author, last.by, last.text) == ("agent", "alan", "Run headrace key new norway, please.")
    expect(page.locator(".tickets li")).to_have_count(waited)


def test_without_scripts_everything_reads_and_forms_work(running: Running, opens: Opens) -> None:
    page = opens()
    page.context.route("**/*.js*", lambda route: route.fulfill(body="", content_type="text/javascript"))
    enter(page, running.url)
    page.goto(f"{running.url}/channels")
    page.get_by_role("button", name="New key of desk").click()
    expect(page.locator(".key")).to_contain_text("hr_live_")


def test_nothing_moves_while_a_page_loads(running: Running, opens: Opens) -> None:
    page = opens()
    enter(page, running.url)
    shifts = """() => new Promise(done => { let sum = 0;
      new PerformanceObserver(list => { for (const one of list.getEntries()) sum += one.value; })
        .observe({type: 'layout-shift', buffered: true});
      setTimeout(() => done(sum), 300); })"""
    for path in ("/", "/queue", "/adapters", "/labelling"):
        page.goto(running.url + path)
        assert page.evaluate(shifts) == 0, path
