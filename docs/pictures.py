"""The pictures of docs/console.md and docs/widget.md, taken of the help-desk demo: python docs/pictures.py

The demo's project is made in a folder of its own (some minutes), or taken from `--project`, which then gets a few
rows and customers more. `--widget` takes those of the widget alone. Chromium is the system's.
"""

from __future__ import annotations

import argparse
import base64
import logging
import secrets
import struct
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Page, ViewportSize, sync_playwright

from headrace.demo import helpdesk
from headrace.demo.support import run
from headrace.project import Project
from headrace.web.assembly import assembled
from headrace.web.console.place import Console
from headrace.web.console.server import background
from headrace.web.customers import Customers
from headrace.web.server import background as serving

OUT = Path(__file__).parent / "pictures"
SIZE: ViewportSize = {"width": 1200, "height": 750}
NAME, PASSWORD = "demo", secrets.token_urlsafe(16)
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
ROWS = [
    {"text": "How do I move a project to another machine?", "label": "backup_restore"},
    {"text": "Can two shops share one adapter?"},
    {"text": "The file has umlauts that come out wrong."},
    {"text": "Where do I see what was released last week?"},
    {"text": "", "label": "create_key"},
    {"text": "Can two shops share one adapter?"},
    {"text": "My key is lost, help", "label": "create_key"},
    {"text": "my key is lost, help!", "label": "revoke_key"},
]
ASKED = {"en": "How do I make a key for a partner?", "zh": "怎么给合作伙伴创建密钥？"}
WAITING = [
    "Our partner in Norway wants a key of their own, with 500 questions a day. How do I set that up?",
    "自己的数据能不能导出成 CSV？",
    "The answers got worse since this morning. Can somebody look at it?",
]
Pixels = NDArray[np.uint8]
_READ = """async (picture) => {
  const image = await createImageBitmap(await (await fetch(`data:image/png;base64,${picture}`)).blob());
  const drawn = new OffscreenCanvas(image.width, image.height).getContext("2d");
  drawn.drawImage(image, 0, 0);
  const raw = new Uint8Array(drawn.getImageData(0, 0, image.width, image.height).data.buffer);
  return raw.toBase64();
}"""


def main() -> None:
    """Make or take the project, and write every picture."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--project", type=Path, help="a folder that `headrace demo support` has made")
    given.add_argument("--widget", action="store_true", help="the widget's pictures alone")
    asked = given.parse_args()
    folder = asked.project
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with tempfile.TemporaryDirectory() as made:
        where = folder or Path(made) / "help-desk"
        if folder is None:
            run(where, quick=True)
        project = Project(where)
        OUT.mkdir(exist_ok=True)
        with _pages() as (page, reader):
            if not asked.widget:
                _console(project, page, reader)
            _widget(project, page, reader)
        project.close()


def _console(project: Project, page: Page, reader: Page) -> None:
    """The console's pictures."""
    console = Console.of(project)
    _furnish(project, console)
    with background(console) as url:
        for name, path in _paths(project, console).items():
            for theme in ("light", "dark"):
                _take(page, reader, url, path, theme, OUT / f"{name}-{theme}.png")


def _widget(project: Project, page: Page, reader: Page) -> None:
    """The widget's, on its demo page: a customer asks, in both languages."""
    name, *_ = project.recipe.support.channels
    key = project.new_key(name, "public")[1]
    with assembled(project) as service, serving(service, parts=[Customers.of(project, service)]) as url:
        channel = project.recipe.channels[name].model_copy(update={"origins": (url,)})
        channels = project.recipe.channels | {name: channel}
        project.recipe = project.recipe.model_copy(update={"channels": channels})
        for theme, language in (("light", "en"), ("dark", "zh")):
            page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
            page.goto(f"{url}/widget/demo?key={key}&language={language}")
            page.evaluate("localStorage.clear()")
            page.reload()
            page.locator(".launch").click()
            page.get_by_role("textbox").fill(ASKED[language])
            page.keyboard.press("Enter")
            page.wait_for_selector(".one.machine ~ .one.machine .text")
            page.wait_for_timeout(500)
            _write(OUT / f"widget-{theme}.png", reader, page.screenshot())


def _furnish(project: Project, console: Console) -> None:
    """What the demo leaves out: rows without labels, rows turned away, a draft, a mark, and who waits."""
    channel, *_ = project.recipe.support.channels
    console.access.add(NAME, "owner", PASSWORD)
    project.add_rows(ROWS, channel=channel, task="intent", source="form")
    project.clean()
    project.turn()
    for question in helpdesk.material("community-en").live[:20]:
        (said,) = project.predict([question.text], task="intent", channel=channel)
        if said.label != question.label and said.confidence > 0.3:
            project.add_feedback(said.id, "correction", question.label)
    project.new_key(channel)
    project.revoke_key(project.new_key(channel)[0].id)
    project.draft(
        "Can rows be exported as CSV?", "Yes: headrace predict writes .csv, .jsonl and .parquet files."
    )
    document = next(one for one in project.documents() if one.title.startswith("How"))
    project.flag_document(document.id, "Says nothing of several keys a partner.")
    for one in console.desk.queue()[:-1]:
        console.desk.close(one.ticket.id, "agent")
    for text in WAITING:
        conversation = console.desk.begin(channel).conversation.id
        console.desk.reply(console.desk.receive(conversation, text))
        console.desk.person_please(conversation)


def _paths(project: Project, console: Console) -> dict[str, str]:
    """Every screen by the name of its picture."""
    adapters, answers = project.adapters(), project.answers(task="intent", limit=20)
    first, last = adapters[0].id, adapters[-1].id
    ticket = next(one.ticket.id for one in console.desk.queue() if one.suggestions and one.draft)
    return {
        "login": "/login",
        "circle": "/",
        "queue": "/queue",
        "ticket": f"/queue/{ticket}",
        "answers": "/answers",
        "answer": f"/answers/{answers[0].id}",
        "labelling": "/labelling?kind=unsure",
        "knowledge": "/knowledge",
        "guarantee": "/guarantee",
        "data": "/data",
        "adapters": "/adapters",
        "adapter": f"/adapters/{first}",
        "compare": f"/adapters/compare?pick={last}&pick={first}",
        "history": "/history",
        "channels": "/channels",
    }


@contextmanager
def _pages() -> Iterator[tuple[Page, Page]]:
    """A page to take pictures of, and one that reads them."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        yield browser.new_page(viewport=SIZE, locale="en-US"), browser.new_page()
        browser.close()


def _take(page: Page, reader: Page, url: str, path: str, theme: str, to: Path) -> None:
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    page.context.clear_cookies()
    page.goto(f"{url}/login")
    if path != "/login":
        page.locator("[name=name]").fill(NAME)
        page.locator("[name=password]").fill(PASSWORD)
        page.locator("main button").click()
        page.wait_for_selector("nav")
        page.goto(url + path)
    _write(to, reader, page.screenshot())


def _write(to: Path, reader: Page, png: bytes) -> None:
    to.write_bytes(smaller(_pixels(reader, png)))
    logging.info("%s, %.0f KB", to.name, to.stat().st_size / 1024)


def smaller(pixels: Pixels) -> bytes:
    """A PNG of at most 256 colours: the most frequent ones, every other as the nearest of these."""
    height, width, _ = pixels.shape
    colours, which, counts = np.unique(pixels.reshape(-1, 3), axis=0, return_inverse=True, return_counts=True)
    palette = colours[np.argsort(-counts)[:256]]
    nearest = np.array([_nearest(colour, palette) for colour in colours], np.uint8)
    rows = nearest[which.reshape(-1)].reshape(height, width)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = [(b"IHDR", head), (b"PLTE", palette.tobytes()), (b"IDAT", zlib.compress(raw, 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, content) for name, content in parts)


def _nearest(colour: Pixels, palette: Pixels) -> int:
    return int(((palette.astype(np.int32) - colour) ** 2).sum(axis=1).argmin())


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _pixels(reader: Page, png: bytes) -> Pixels:
    """The pixels [height, width, 3] of a screenshot, read by the browser that took it."""
    found = reader.evaluate(_READ, base64.b64encode(png).decode())
    return np.frombuffer(base64.b64decode(found), np.uint8).reshape(SIZE["height"], SIZE["width"], 4)[
        :, :, :3
    ]


if __name__ == "__main__":
    main()
