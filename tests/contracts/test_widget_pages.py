"""The script and the demo: small, known again, and nothing in them that a strict policy forbids."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from widget_stand import Got, Served, served

from headrace.web.widget.pages import POLICY, script

LARGEST = 15_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("pages") / "project") as running:
        yield running


def get(server: Served, path: str, **headers: str) -> Got:
    return server.visitor().send("GET", path, Authorization=None, Origin=None, **headers)


def test_the_script_is_small_and_calls_nobody_else() -> None:
    source = script().plain.decode()
    assert len(script().packed) < LARGEST
    for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "eval(", "new Function", "document.write",
                      "setAttribute(\"style\"", "import("):  # fmt: skip
        assert forbidden not in source, forbidden
    assert set(re.findall(r"https?://[\w.]+", source)) == {"http://www.w3.org"}, "the name space of pictures"


def test_both_languages_say_the_same_things() -> None:
    source = script().plain.decode()
    chinese, english = re.findall(r"\{\n  title: .*?\n\}", source, re.DOTALL)
    keys = [re.findall(r"(?:^|[,{\n] +)(\w+): (?=[\"({])", text) for text in (chinese, english)]
    assert sorted(keys[0]) == sorted(keys[1])
    assert len(keys[0]) > 30


def test_the_script_is_kept_and_known_again(server: Served) -> None:
    got = get(server, "/widget.js")
    assert (got.status, got.body) == (200, script().plain)
    assert got.headers["content-type"] == "text/javascript; charset=utf-8"
    assert got.headers["x-content-type-options"] == "nosniff"
    assert got.headers["cross-origin-resource-policy"] == "cross-origin"
    assert got.headers["cache-control"] == "public, max-age=600"
    assert "accept-encoding" in got.headers["vary"].lower()
    packed = get(server, "/widget.js", Accept_Encoding="gzip, br")
    assert gzip.decompress(packed.body) == got.body
    again = get(server, "/widget.js", If_None_Match=f"W/{got.headers['etag']}")
    assert (again.status, again.body) == (304, b"")
    assert again.headers["cache-control"] == got.headers["cache-control"]


def test_the_demo_stands_under_the_strictest_policy(server: Served) -> None:
    own = {"Host": "127.0.0.1:8420"}
    got = get(server, f"/widget/demo?key={server.keys['shop']}", **own)
    page = got.body.decode()
    assert got.headers["content-security-policy"] == POLICY
    assert "unsafe" not in POLICY
    assert f'data-key="{server.keys["shop"]}"' in page
    assert "List http://127.0.0.1:8420 under" in page
    assert not re.search(r" (?:on\w+|style)=", page)
    assert 'lang="zh' in get(server, "/widget/demo?language=zh", **own).body.decode()
    assert get(server, "/widget/demo.css", **own).status == 200


@pytest.mark.parametrize("key", ["", "hr_pub_x", '"><script>alert(1)</script>'])
def test_the_demo_without_a_key_says_what_to_do(server: Served, key: str) -> None:
    page = get(server, f"/widget/demo?key={key.replace(' ', '%20')}", Host="localhost:8420").body.decode()
    assert "headrace key new" in page
    assert "<script" not in page


@pytest.mark.parametrize("host", ["shop.example", "127.0.0.1.evil.example:8420", ""])
def test_the_demo_is_shown_on_this_machine_alone(server: Served, host: str) -> None:
    for path in ("/widget/demo", "/widget/demo.css"):
        assert get(server, path, Host=host).status == 404


def test_the_files_are_in_the_package() -> None:
    folder = Path(__file__).parents[2] / "headrace" / "web" / "widget"
    assert {path.name for path in folder.iterdir() if path.suffix in (".js", ".css", ".html")} == {
        "widget.js",
        "demo.css",
        "demo.en.html",
        "demo.zh.html",
    }
