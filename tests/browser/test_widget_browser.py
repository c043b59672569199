"""The widget in a real Chromium, under a strict policy: asked, corrected, handed over, reloaded, cut off."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from browser_types import Examines, Opens
from console_stand import PASSWORD, peopled
from playwright.sync_api import Browser, Page, expect
from shop_stand import FAQ, Shop, free_port, shop
from support_stand import PretendGuarantee, PretendSentence, PretendWriter, put
from widget_stand import Served, served

from headrace.project import Project
from headrace.web.console.server import background

POLICY = (
    "default-src 'none'; script-src {url}; connect-src {url}; style-src 'none'; base-uri 'none';"
    " require-trusted-types-for 'script'; trusted-types 'none'"
)
PAGE = """<!doctype html><html lang="{language}"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1"><title>Shop</title></head>
<body><main><h1>Shop</h1><p>Welcome.</p></main>
<script src="{url}/widget.js" data-key="{key}"{more} async></script></body></html>"""


@dataclass
class Site:
    """A shop's own site, on an origin of its own; `url` is the page in a language."""

    shop: Shop | Served
    origin: str

    def url(self, language: str) -> str:
        return f"{self.origin}/{language}"


@contextmanager
def hosted(shop_: Shop | Served, port: int, key: str, more: str = "") -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            named = {"language": self.path.strip("/"), "url": shop_.url, "key": key, "more": more}
            page = PAGE.format_map(named).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Security-Policy", POLICY.format(url=shop_.url))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield Site(shop_, f"http://127.0.0.1:{port}")
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    port = free_port()
    folder = tmp_path_factory.mktemp("shop") / "project"
    with shop(folder, f"http://127.0.0.1:{port}") as running, hosted(running, port, running.key) as found:
        yield found


def say(page: Page, text: str) -> None:
    page.get_by_role("textbox").first.fill(text)
    page.keyboard.press("Enter")


def said(page: Page) -> list[str]:
    """All that stands in the log, one text a message."""
    return page.locator(".one .text").all_inner_texts()


def test_a_customer_asks_in_chinese_corrects_and_a_person_takes_over(site: Site, opens: Opens) -> None:
    page = opens(language="zh")
    page.goto(site.url("zh-CN"))
    page.get_by_role("button", name="打开在线客服").click()
    expect(page.get_by_text("由机器回答。")).to_be_visible()
    say(page, "我的包裹怎么退款")
    refund, delivery = FAQ["refund"][1], FAQ["delivery"][1]
    expect(page.locator(".one").last).to_contain_text(refund)
    source = page.get_by_role("link", name="怎么退款？")
    assert source.get_attribute("href") == "https://shop.example/help/refund"

    page.get_by_role("button", name="这个回答不对").click()
    page.get_by_role("button", name="我的包裹什么时候到？").click()
    expect(page.locator(".one").last).to_contain_text(delivery)
    say(page, "请问我的包裹怎么退款呢")
    expect(page.locator(".one")).to_have_count(6)
    expect(page.locator(".one").last).to_contain_text(delivery)

    page.get_by_role("button", name="人工服务").click()
    page.get_by_label("邮箱或电话（可不填）").fill("li@shop.example")
    page.get_by_role("button", name="提交").click()
    expect(page.locator(".one").last).to_contain_text("人工客服会在这里回复您")
    before = said(page)
    answer_in_the_console(site, opens, "您好，我来帮您查。")
    expect(page.locator(".one.agent")).to_have_text("人工客服您好，我来帮您查。")
    assert said(page) == [*before, "您好，我来帮您查。"], "and nothing was loaded again"

    page.reload()
    page.get_by_role("button", name="打开在线客服").click()
    expect(page.locator(".one")).to_have_count(len(before) + 1)
    assert said(page) == [*before, "您好，我来帮您查。"]
    say(page, "怎么开发票")
    expect(page.locator(".one").last).to_contain_text(FAQ["invoice"][1])


def answer_in_the_console(site: Site, opens: Opens, text: str) -> None:
    console = peopled(Project(site.shop.project.folder))
    with background(console) as url:
        agent = opens()
        agent.goto(f"{url}/login")
        agent.locator("[name=name]").fill("alan")
        agent.locator("[name=password]").fill(PASSWORD)
        agent.locator("main button").click()
        agent.locator(".tickets a").last.click()
        agent.get_by_label("Your answer").fill(text)
        agent.get_by_role("button", name="Send to the customer").click()
        expect(agent.locator(".said")).to_be_visible()
        agent.context.close()
    console.project.close()


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_accessible_open_and_closed_and_fits(
    site: Site, opens: Opens, examines: Examines, language: str, theme: str
) -> None:
    page = opens(language=language, theme=theme)
    page.goto(site.url(language))
    launch = page.get_by_role("button", name="Open chat" if language == "en" else "打开在线客服")
    expect(launch).to_be_visible()
    examines(page)
    launch.click()
    say(page, "我的包裹什么时候到" if language == "zh" else "my parcel now please")
    expect(page.locator(".judge")).to_be_visible()
    page.locator(".judge button").last.click()
    expect(page.locator(".fix")).to_be_visible()
    page.locator(".more button").first.click()
    expect(page.locator(".panel")).to_be_visible()
    examines(page)


def test_the_keyboard_alone_is_enough(site: Site, opens: Opens) -> None:
    page = opens()
    page.goto(site.url("en"))
    launch = page.get_by_role("button", name="Open chat")
    expect(launch).to_be_visible()
    page.keyboard.press("Tab")
    expect(launch).to_be_focused()
    page.keyboard.press("Enter")
    box = page.get_by_label("Your question")
    expect(box).to_be_focused()
    page.keyboard.type("where is my parcel now")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("please")
    page.keyboard.press("Enter")
    expect(page.locator(".one.customer .text")).to_have_text("where is my parcel now\nplease")
    expect(page.locator(".judge")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="A person, please")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_label("E-mail or phone (optional)")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="A person, please")).to_be_focused()
    page.keyboard.press("Escape")
    expect(launch).to_be_focused()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_cut_off_it_tries_again_and_nothing_is_said_twice(site: Site, browser: Browser) -> None:
    """The server hears the message, and its reply is lost on the way, twice; the browser's console says so."""
    context, lost = browser.new_context(locale="en-US"), []
    page = context.new_page()
    page.goto(site.url("en"))
    page.get_by_role("button", name="Open chat").click()

    def lose(route: Any) -> None:
        if route.request.method == "POST" and len(lost) < 2:
            lost.append(route.fetch().status)
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route("**/messages", lose)
    with page.expect_event("requestfailed"):
        say(page, "my invoice now")
    expect(page.locator(".judge")).to_be_visible(timeout=15_000)
    assert lost == [200, 200]
    page.wait_for_timeout(500)
    assert [text for text in said(page) if text == "my invoice now"] == ["my invoice now"]
    conversation = site.shop.project.store.conversations.list(limit=1)[0]
    authors = [m.author for m in site.shop.project.store.conversations.messages(conversation.id)]
    assert authors == ["machine", "customer", "machine"]
    context.close()


def test_asked_back_a_visitor_picks_or_writes_and_is_told_of_an_answer_while_it_is_closed(
    tmp_path: Path, opens: Opens
) -> None:
    port, guarantee = free_port(), PretendGuarantee(alone=0.95)
    options = ' data-language="zh" data-title="Keys &amp; co." data-position="left"'
    with served(tmp_path / "p", guarantee=guarantee, origin=f"http://127.0.0.1:{port}") as server:
        put(server.stand.project, "long", "A key for partners", "Partners get a key of their own.")
        with hosted(server, port, server.keys["shop"], options) as site:
            page = opens()
            page.goto(site.url("en"))
            launch = page.get_by_role("button", name="打开在线客服")
            launch.click()
            expect(page.get_by_role("heading", name="Keys & co.")).to_be_visible()
            assert page.locator("dialog").bounding_box()["x"] < 50
            say(page, "a key for partners")
            choice = page.get_by_role("button", name="A key for partners")
            choice.click()
            expect(page.locator(".one").last).to_contain_text("Partners get a key of their own.")
            expect(choice).to_be_disabled()
            expect(choice).to_have_attribute("aria-pressed", "true")

            guarantee.alone = 0.5
            say(page, "密钥 在哪里")
            page.get_by_role("button", name="这个回答不对").click()
            page.get_by_label("用您自己的话说明").fill("密钥在抽屉里。")
            page.keyboard.press("Enter")
            expect(page.locator(".one").last).to_contain_text("您写的内容会有人查看")
            expect(page.locator(".one.customer").last).to_contain_text("密钥在抽屉里。")

            page.keyboard.press("Escape")
            (waiting,) = server.stand.desk.queue("shop")
            server.stand.desk.answer(waiting.ticket.id, "ann", "谢谢，已经改好了。")
            page.get_by_role("button", name="打开在线客服，1 条新消息").click()
            expect(page.locator(".one.agent")).to_contain_text("谢谢，已经改好了。")

            assert page.evaluate("Object.keys(localStorage).length") == 1
            page.get_by_role("button", name="重新开始").click()
            page.get_by_role("button", name="删除").click()
            expect(page.locator(".one")).to_have_count(1)
            assert page.evaluate("localStorage.length") == 0
            page.context.close()


@dataclass
class HeldWriter(PretendWriter):
    """Writes its second sentence only once it is let go."""

    go: threading.Event = field(default_factory=threading.Event)

    def write(self, *asked: Any, **more: Any) -> Iterator[PretendSentence]:
        for number, sentence in enumerate(super().write(*asked, **more)):
            if number and not self.go.wait(10):
                return
            yield sentence


def test_a_written_answer_is_read_while_it_is_written_and_announced_once(
    tmp_path: Path, opens: Opens
) -> None:
    port, writer = free_port(), HeldWriter()
    origin = f"http://127.0.0.1:{port}"
    with served(
        tmp_path / "p", guarantee=PretendGuarantee(alone=0.2), writer=writer, origin=origin
    ) as server:
        server.stand.model.down = True
        for name in ("summer", "winter"):
            put(server.stand.project, name, f"opening hours in {name}", "We open at nine.")
        with hosted(server, port, server.keys["shop"]) as site:
            page = opens()
            page.goto(site.url("en"))
            page.get_by_role("button", name="Open chat").click()
            say(page, "opening hours")
            last = page.locator(".one .text").last
            expect(last).to_have_text("Part 0. [1]")
            log = page.get_by_role("log")
            expect(log).to_have_attribute("aria-busy", "true")
            writer.go.set()
            expect(last).to_have_text("Part 0. [1] Part 1. [2]")
            expect(log).not_to_have_attribute("aria-busy", "true")
            expect(page.locator(".from li")).to_have_count(2)
            page.wait_for_timeout(500)
            expect(page.locator(".one")).to_have_count(3)
            page.context.close()
