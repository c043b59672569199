"""Who may enter the console, and what a page of another site can make a browser do there (nothing)."""

from __future__ import annotations

import itertools
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from console_stand import PASSWORD, Visitor, anew, light

from headrace.project import Project
from headrace.web.console.access import LASTS, Access
from headrace.web.console.guard import POLICY
from headrace.web.console.navigation import ENTRANCE, SCREENS
from headrace.web.console.place import Console
from headrace.web.console.visit import Page

PAGES = [page for screen in SCREENS for page in screen.pages]
FORMS = [page for page in (*PAGES, *ENTRANCE.pages) if page.method == "POST" and page.roles]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return light(tmp_path_factory.mktemp("console") / "project").project


@pytest.fixture
def console(project: Project) -> Console:
    return anew(project)


def path_of(page: Page) -> str:
    return page.path.replace("{id}", "x").replace("{message}", "x")


def test_the_secret_of_a_session_is_in_a_cookie_alone(console: Console) -> None:
    visitor = Visitor(console)
    got = visitor.post("/login", name="olga", password=PASSWORD)
    cookie = got.headers["set-cookie"]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=lax", "Path=/", "Max-Age=43200"))
    assert "Secure" not in cookie
    secret = visitor.client.cookies["headrace_session"]
    assert len(secret) >= 43
    console.project.store.database.checkpoint()
    stored = b"".join(path.read_bytes() for path in console.project.folder.glob("store.db*"))
    assert secret.encode() not in stored
    assert PASSWORD.encode() not in stored
    assert visitor.get("/").status_code == 200


def test_behind_https_the_cookie_goes_that_way_alone(console: Console) -> None:
    console.secure = True
    got = Visitor(console).post("/login", name="olga", password=PASSWORD)
    assert "Secure" in got.headers["set-cookie"]


@pytest.mark.parametrize("name", ["olga", "nobody"])
def test_tries_are_counted_before_a_password_is_hashed(
    console: Console, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OWASP LLM10, unbounded consumption: a guesser pays, not the server."""
    checks = itertools.count()
    right = Access._right
    monkeypatch.setattr(Access, "_right", lambda *given: (next(checks), right(*given))[1])
    visitor = Visitor(console)
    got = [visitor.post("/login", name=name, password=f"wrong {n}").status_code for n in range(15)]
    assert got == [401] * 10 + [429] * 5
    assert next(checks) == 10
    assert visitor.post("/login", name=name, password=PASSWORD).status_code == 429


def test_a_wrong_name_and_a_wrong_password_read_alike(console: Console) -> None:
    pages = [Visitor(console).post("/login", name=name, password="no").text for name in ("olga", "nobody")]
    assert pages[0].replace("olga", "nobody") == pages[1]


def test_a_session_ends(tmp_path: Path) -> None:
    now = [datetime(2026, 3, 1, tzinfo=UTC)]
    console = light(tmp_path / "project", clock=lambda: now[0])
    leaves, stays, disabled, renewed = (Visitor(console, "olga") for _ in range(4))
    leaves.get("/")
    secret = leaves.client.cookies["headrace_session"]
    leaves.post("/logout")
    leaves.client.cookies.set("headrace_session", secret)
    assert leaves.get("/").headers["location"] == "/login?next=%2F"
    now[0] += LASTS - timedelta(seconds=1)
    assert stays.get("/").status_code == 200
    now[0] += timedelta(seconds=2)
    assert stays.get("/").status_code == 303
    agent = Visitor(console, "alan")
    console.access.set_password("alan", "another one, long")
    assert agent.get("/queue").status_code == 303
    console.project.store.users.disable("olga", now[0])
    assert disabled.post("/login", name="olga", password=PASSWORD).status_code == 401
    assert renewed.get("/").status_code == 303


@pytest.mark.parametrize("page", FORMS, ids=lambda page: page.path)
def test_a_form_without_its_token_changes_nothing(console: Console, page: Page) -> None:
    for name in page.roles:
        visitor = Visitor(console, {"owner": "olga", "agent": "alan"}[name])
        for token in ("", "x", Visitor(console, "olga").get("/data") and "y"):
            visitor.token = token
            assert visitor.post(path_of(page)).status_code == 403
    assert Visitor(console).post(path_of(page)).status_code == 401


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:9999", None])
def test_a_form_of_another_site_is_refused(console: Console, origin: str | None) -> None:
    visitor = Visitor(console, "olga")
    visitor.get("/channels")
    del visitor.client.headers["origin"]
    headers = {} if origin is None else {"origin": origin}
    got = visitor.client.post(
        "/channels/keys", data={"csrf": visitor.token, "channel": "desk"}, headers=headers
    )
    assert got.status_code == 403
    assert console.project.keys() == []


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example:8421", "10.0.0.1", "", "[::1", "a@b"]
)
def test_by_another_name_the_console_is_not_there(console: Console, host: str) -> None:
    """DNS rebinding: a name of another site that leads to this machine."""
    assert Visitor(console, "olga").get("/", host=host).status_code == 403


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.method} {page.path}")
def test_a_page_is_open_to_its_roles_alone(console: Console, page: Page) -> None:
    if page.method == "GET":
        assert Visitor(console).get(path_of(page)).headers["location"].startswith("/login?next=%2F")
    for name, role in (("olga", "owner"), ("alan", "agent")):
        visitor = Visitor(console, name)
        visitor.get("/queue")
        got = visitor.get(path_of(page)) if page.method == "GET" else visitor.post(path_of(page))
        assert (got.status_code == 403) == (role not in page.roles), (name, got.status_code)
        assert got.status_code < 500


def test_a_user_sees_the_screens_of_their_role_alone(console: Console) -> None:
    for name, role in (("olga", "owner"), ("alan", "agent")):
        visitor = Visitor(console, name)
        links = set(re.findall(r'href="(/[^"?]*)"', visitor.get("/queue").text))
        assert {screen.path for screen in SCREENS if screen.open_to(role)} <= links
        assert all(visitor.get(link).status_code == 200 for link in links if not link.startswith("/pref"))


@pytest.mark.parametrize(
    "path", ["/login", "/", "/queue/live", "/nowhere", "/static/console.css", "/static/../x", "/adapters/x"]
)
def test_every_response_has_the_safe_headers(console: Console, path: str) -> None:
    got = Visitor(console, "olga").get(path)
    assert got.headers["content-security-policy"] == POLICY
    assert "unsafe" not in POLICY
    assert "frame-ancestors 'none'" in POLICY
    assert got.headers["x-content-type-options"] == "nosniff"
    assert got.headers["cache-control"] == "no-store" or path == "/static/console.css"


@pytest.mark.parametrize(
    "back", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:x"]
)
def test_nobody_is_led_away(console: Console, back: str) -> None:
    visitor = Visitor(console)
    assert visitor.get(f"/preferences?language=zh&back={back}").headers["location"] == "/"
    got = visitor.post("/login", name="olga", password=PASSWORD, next=back)
    assert got.headers["location"] == "/"


@pytest.mark.parametrize("body", [b"a=" + b"x" * 200_001, b"&".join([b"a=1"] * 300), b"\xff\xfe"])
def test_a_form_that_cannot_be_read_is_refused(console: Console, body: bytes) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert Visitor(console).client.post("/login", content=body, headers=headers).status_code == 400


def test_what_somebody_wrote_is_shown_and_not_run(console: Console) -> None:
    """OWASP LLM05, output handling: texts of customers and models are data."""
    text = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    console.project.add_rows([{"text": text}], channel="desk", task="intent")
    console.project.clean()
    begun = console.desk.begin("desk")
    console.desk.receive(begun.conversation.id, text)
    console.desk.person_please(begun.conversation.id, contact='"><script>')
    visitor = Visitor(console, "olga")
    ticket = console.desk.queue()[0].ticket.id
    for path in ("/labelling?kind=rows", "/queue", f"/queue/{ticket}", f"/queue/{ticket}/log"):
        page = visitor.get(path).text
        assert "alert(1)" in page, path
        assert "<script>" not in page, path
        assert "<img src=x" not in page, path
