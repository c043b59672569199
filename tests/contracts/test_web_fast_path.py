"""The way past the framework: the same responses as through it, by the byte but for ids; and its own edges."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from web_stand import Stand, standing

from headrace.errors import StoreError
from headrace.store import Store
from headrace.web.api import create_app
from headrace.web.api.fast_path import LARGEST
from headrace.web.server import background
from headrace.web.service import Limits, Service

TEXT = {"text": "when do you open?"}


@pytest.fixture
def stand(sqlite_store: Store) -> Stand:
    return Stand(sqlite_store)


@pytest.fixture
def url(stand: Stand) -> Iterator[str]:
    with background(stand.service) as found:
        yield found


class Raw:
    """One connection, over which bytes go as they are."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.socket = socket.create_connection((str(parts.hostname), int(parts.port or 0)), timeout=20)
        self._came = b""

    def ask(self, body: bytes, key: str, **more: str) -> tuple[int, dict[str, str], bytes]:
        """One request and its response."""
        self.send(body, key, **more)
        return self.hear()

    def send(self, body: bytes, key: str, **more: str) -> None:
        headers = {"Host": "x", "Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        headers |= {"Content-Length": str(len(body))} | {n.replace("_", "-"): v for n, v in more.items()}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value)
        self.socket.sendall(f"POST /v1/predict HTTP/1.1\r\n{head}\r\n".encode() + body)

    def hear(self) -> tuple[int, dict[str, str], bytes]:
        while b"\r\n\r\n" not in self._came:
            self._more()
        head, _, rest = self._came.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        while len(rest) < int(headers["content-length"]):
            self._more()
            rest = self._came.partition(b"\r\n\r\n")[2]
        size = int(headers["content-length"])
        self._came = rest[size:]
        return int(status.split()[1]), headers, rest[:size]

    def _more(self) -> None:
        piece = self.socket.recv(65_536)
        assert piece, "closed"
        self._came += piece


BODIES: list[tuple[bytes, str]] = [
    (json.dumps(TEXT).encode(), "shop"),
    (json.dumps(TEXT | {"task": "intent"}).encode(), "shop"),
    (json.dumps({"texts": ["a", "b", "a"]}).encode(), "shop"),
    (json.dumps({"text": "x " * 3000}).encode(), "shop"),
    (json.dumps({"text": "mail joe@example.com or 4111 1111 1111 1111"}).encode(), "shop"),
    (json.dumps(TEXT | {"task": "mood"}).encode(), "forum"),
    (json.dumps(TEXT).encode(), "forum"),
    (json.dumps(TEXT | {"tsak": "mood"}).encode(), "shop"),
    (json.dumps({"text": ""}).encode(), "shop"),
    (json.dumps({"text": "a\x00"}).encode(), "shop"),
    (json.dumps({"text": 3, "task": 4}).encode(), "shop"),
    (json.dumps({"text": None}).encode(), "shop"),
    (json.dumps({"text": "a" * 20_001}).encode(), "shop"),
    (b"", "shop"),
    (b"[]", "shop"),
    (b'{"text": "caf\xe9"}', "shop"),
    (b'{"text": "\\ud800"}', "shop"),
    (b'{"text": "a", "text": "b"}', "shop"),
    (b"[" * 3000, "shop"),
    (json.dumps({"text": "canary"}).encode(), "nobody"),
]


@pytest.mark.parametrize(("body", "channel"), BODIES)
def test_both_ways_send_the_same(stand: Stand, url: str, body: bytes, channel: str) -> None:
    key = stand.keys.get(channel, "hr_live_nobody")
    straight, round_about = Raw(url).ask(body, key), Raw(url).ask(body, key, Connection="keep-alive")
    assert straight[0] == round_about[0]
    assert _plain(straight[2]) == _plain(round_about[2])
    assert _headers(straight[1]) == _headers(round_about[1])
    assert straight[1]["request-id"] != round_about[1]["request-id"]


def _plain(body: bytes) -> Any:
    return json.loads(re.sub(rb'"id":"ans_\d+"', b'"id":"ans"', body))


def _headers(headers: dict[str, str]) -> dict[str, str]:
    return {n: v for n, v in headers.items() if n not in ("request-id", "date", "content-length")} | {
        "date": ""
    }


def test_refusals_of_quota_queue_engine_and_store_are_the_same(
    stand: Stand, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    body, partner, shop = json.dumps(TEXT).encode(), stand.keys["partner"], stand.keys["shop"]
    raw = Raw(url)
    assert [raw.ask(body, partner)[0] for _ in range(6)] == [200] * 5 + [429]
    for setting, status in (("full", 503), ("broken", 500)):
        setattr(stand.batcher, setting, True)
        straight, round_about = raw.ask(body, shop), Raw(url).ask(body, shop, Connection="keep-alive")
        assert straight[0] == round_about[0] == status
        assert straight[2] == round_about[2]
        assert _headers(straight[1]) == _headers(round_about[1])
        setattr(stand.batcher, setting, False)

    def failing(*_args: object) -> None:
        raise StoreError("the disk failed.")

    monkeypatch.setattr(stand.store.answers, "add_in", failing)
    straight = raw.ask(body, shop)
    assert (straight[0], straight[1]["retry-after"]) == (503, "5")
    monkeypatch.undo()
    assert raw.ask(body, shop)[0] == 200
    logged = [json.loads(line) for line in stand.log.getvalue().splitlines() if "request failed" in line]
    assert [line["error"] for line in logged] == [["RuntimeError"]] * 2
    assert all(line["request"].startswith("req_") for line in logged)
    assert "when do you open" not in stand.log.getvalue()


def test_a_body_too_large_for_this_way_goes_the_other(stand: Stand, url: str) -> None:
    texts = ["w " * 9_000] * 4
    body = json.dumps({"texts": texts}).encode()
    assert LARGEST < len(body) < 100_000
    status, _, said = Raw(url).ask(body, stand.keys["shop"])
    assert status == 200
    assert len(json.loads(said)["answers"]) == 4


def test_requests_in_one_packet_are_answered_in_order_whichever_way_they_go(stand: Stand, url: str) -> None:
    raw, key = Raw(url), stand.keys["shop"]
    for n in range(30):
        raw.send(
            json.dumps({"text": f"q{n}"}).encode(), key, **({"Connection": "keep-alive"} if n % 3 else {})
        )
    labels = [json.loads(raw.hear()[2])["answers"][0]["label"] for _ in range(30)]
    alone = Raw(url)
    assert labels == [
        json.loads(alone.ask(json.dumps({"text": f"q{n}"}).encode(), key)[2])["answers"][0]["label"]
        for n in range(30)
    ]


def test_a_client_that_goes_while_it_waits_disturbs_nobody(stand: Stand, url: str) -> None:
    stand.batcher.held = True
    gone, stays = Raw(url), Raw(url)
    gone.send(json.dumps({"text": "gone"}).encode(), stand.keys["shop"])
    stays.send(json.dumps({"text": "stays"}).encode(), stand.keys["shop"])
    while len(stand.batcher.waiting) < 2:
        pass
    gone.socket.close()
    stand.batcher.let_go()
    assert stays.hear()[0] == 200
    assert stays.ask(json.dumps(TEXT).encode(), stand.keys["shop"])[0] == 200


def test_requests_are_counted(stand: Stand, url: str) -> None:
    raw = Raw(url)
    for body in (json.dumps(TEXT).encode(), b"{}"):
        raw.ask(body, stand.keys["shop"])
    text = httpx2.get(f"{url}/metrics").text
    assert 'headrace_requests_total{route="/v1/predict",status="200"} 1.0' in text
    assert 'headrace_requests_total{route="/v1/predict",status="422"} 1.0' in text
    assert 'headrace_request_seconds_count{route="/v1/predict"} 2.0' in text


def test_first_acknowledges_before_the_store_has_it_and_logs_what_it_lost(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store refuses everything: an answer is sent all the same, one with an idempotency key is not."""
    with standing(sqlite_store) as stand:

        def failing(*_args: object) -> None:
            raise StoreError("the disk failed.")

        limits = Limits(acknowledge_first=True)
        service = Service(stand.neighbours(), limits=limits, clock=stand.clock, log=stand.service.log)
        stand.app = create_app(service)
        assert stand.ask().status == 200
        while not stand.store.answers.counts():
            pass
        monkeypatch.setattr(stand.store.answers, "add_in", failing)
        assert stand.ask("lost").status == 200
        assert stand.post("/v1/predict", TEXT, key="k").status == 503
        monkeypatch.undo()
        service.stop()
        assert stand.store.answers.counts() == {("intent", "shop"): 1}
        assert "answers were sent and not stored" in stand.log.getvalue()


def test_two_servers_that_know_nothing_of_each_other_hold_one_quota(store: Store) -> None:
    with standing(store) as first, standing(store, ids=lambda kind: f"{kind}_b{next(numbers)}") as second:
        statuses = [stand.ask(channel="partner").status for _ in range(6) for stand in (first, second)]
        assert statuses == [200] * 5 + [429] * 7
        assert store.usage.asked("partner", "2026-03-01") == 5
        assert sum(store.answers.counts().values()) == 5
        asked = len(first.batcher.asked)
        assert first.ask(channel="partner").status == 429
        assert len(first.batcher.asked) == asked, "what others asked is known by now: the engine is not asked"


numbers = iter(range(1_000_000))
