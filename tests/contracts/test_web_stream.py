"""A stream of questions: order, each line's own error, quota by line, bounded memory, slow and lost clients."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from web_process import SlowEngine
from web_stand import Stand, standing

from headrace.channels import quotas
from headrace.serving.batcher import Batcher
from headrace.store import Store
from headrace.web.api import stream as streaming
from headrace.web.api.schemas import LONGEST
from headrace.web.api.stream import LONGEST_LINE, MEDIA_TYPE, PATH, WINDOW, lines_of
from headrace.web.protocol import BoundedProtocol
from headrace.web.server import background


@pytest.fixture
def stand(sqlite_store: Store) -> Iterator[Stand]:
    with standing(sqlite_store) as made:
        yield made


def stream(
    stand: Stand, body: bytes, channel: str = "shop", piece: int = 1000, **more: str
) -> tuple[int, list[Any]]:
    """Status and lines of the response to a body that comes in pieces."""
    headers = stand.headers(channel) | {"content-type": MEDIA_TYPE} | more
    pieces = [body[i : i + piece] for i in range(0, len(body), piece)] or [b""]
    got = stand.wait(stand.send("POST", PATH, b"", headers, pieces))
    return got.status, [json.loads(line) for line in got.body.splitlines()]


def lines(*asked: object) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in asked)


@pytest.mark.parametrize("piece", [7, 1000, 1_000_000])
def test_answers_come_in_the_order_of_the_lines_and_are_stored(stand: Stand, piece: int) -> None:
    texts = [f"question {n} 你好 🙂" for n in range(500)]
    status, got = stream(stand, lines(*({"text": t, "id": f"row-{t[9:12]}"} for t in texts)), piece=piece)
    assert status == 200
    assert [one["line"] for one in got] == list(range(1, 501))
    assert [one["id"] for one in got] == [f"row-{t[9:12]}" for t in texts]
    stored = [stand.store.answers.get(one["answer"]["id"], channel="shop").text for one in got]
    assert stored == texts
    assert stand.store.usage.asked("shop", "2026-03-01") == 500


def test_what_one_text_gets_is_what_predict_gives(stand: Stand) -> None:
    _, (got,) = stream(stand, lines({"text": "when do you open?"}))
    (asked,) = stand.ask("when do you open?").json["answers"]
    assert {k: v for k, v in got["answer"].items() if k != "id"} == {
        k: v for k, v in asked.items() if k != "id"
    }
    assert got["id"] is None


def test_a_wrong_line_says_so_in_its_place_and_the_others_go_on(stand: Stand) -> None:
    long = json.dumps({"text": "a" * (LONGEST_LINE + 1)}).encode() + b"\n"
    body = (
        lines({"text": "a"}) + b'{"text": \n' + lines({"text": 3, "id": "bad"}, {"txet": "a"}, {"text": " "})
        + b"\n" + long + b'{"text": "caf\xe9"}\n' + lines({"text": "a" * (LONGEST + 1)})
            + lines({"text": "a", "task": "mood"})
        + b'{"text": "the last has no end"}'
    )  # fmt: skip
    status, got = stream(stand, body)
    assert status == 200
    assert [one["line"] for one in got] == [1, 2, 3, 4, 5, 7, 8, 9, 10, 11]
    kinds = [one["problem"]["type"].removeprefix("/docs#") if "problem" in one else "answer" for one in got]
    assert kinds == [
        "answer", "bad-body", "invalid", "invalid", "invalid", "too-large", "bad-body", "invalid", "invalid",
        "answer",
    ]  # fmt: skip
    assert got[2]["problem"]["field"] == "text"
    assert "'text'" in json.dumps(got[3]["problem"]["errors"])
    assert stand.store.answers.counts() == {("intent", "shop"): 2}


def test_a_spent_quota_ends_the_stream_and_says_when_to_go_on(stand: Stand) -> None:
    _, got = stream(stand, lines(*({"text": f"q{n}"} for n in range(2000))), "partner")
    assert [("answer" in one) for one in got[:6]] == [True] * 5 + [False]
    assert got[5]["problem"]["status"] == 429
    assert got[-1]["stopped"]["status"] == 429
    assert got[-1]["stopped"]["retry_after"] == 43200
    assert got[-1]["read"] == len(got) - 1 == 6
    assert stand.store.usage.asked("partner", "2026-03-01") == 5


def test_a_stream_faster_than_its_quota_may_be_spent_waits_and_loses_no_line(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quotas, "AT_ONCE", 2)
    monkeypatch.setattr(quotas, "LASTS", 5.0)
    ended = threading.Event()

    def run_clock() -> None:
        while not ended.wait(0.005):
            stand.now += timedelta(seconds=0.25)

    clock = threading.Thread(target=run_clock)
    clock.start()
    try:
        _, got = stream(
            stand, lines(*({"text": text} for text in ("a", "b", "c", "w " * 2500, "e"))), "partner"
        )
    finally:
        ended.set()
        clock.join()
    assert [(one["line"], "answer" in one) for one in got] == [(line, True) for line in range(1, 6)]
    assert stand.store.usage.asked("partner", "2026-03-01") == 5


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"content-type": "application/json"}, 415),
        ({"idempotency-key": "k"}, 422),
        ({"authorization": "Bearer x"}, 401),
    ],
)
def test_a_stream_that_cannot_begin_is_refused_whole(stand: Stand, more: dict[str, str], status: int) -> None:
    got = stand.wait(
        stand.send(
            "POST", PATH, b"", stand.headers() | {"content-type": MEDIA_TYPE} | more, [lines({"text": "a"})]
        )
    )
    assert got.status == status
    assert got.headers["content-type"] == "application/problem+json"
    assert stand.batcher.asked == []


def test_no_more_lines_than_the_window_are_under_way(stand: Stand) -> None:
    """The engine holds: the sender is read no further, however much it has to say."""
    stand.batcher.held = True
    read = [0]

    async def run() -> None:
        one = lines({"text": "q"})

        async def receive() -> dict[str, Any]:
            read[0] += 1
            return {"type": "http.request", "body": one, "more_body": True}

        async def send(_message: Any) -> None:
            await asyncio.sleep(0)

        headers = [
            (k.encode(), v.encode()) for k, v in (stand.headers() | {"content-type": MEDIA_TYPE}).items()
        ]
        scope = {"type": "http", "method": "POST", "path": PATH, "raw_path": PATH.encode(), "headers": headers,
                 "query_string": b"", "http_version": "1.1", "scheme": "http", "root_path": "", "state": {},
                 "server": None, "client": None, "asgi": {"version": "3.0"}}  # fmt: skip
        task = asyncio.ensure_future(stand.app(scope, receive, send))
        await asyncio.sleep(0.3)
        task.cancel()

    stand.wait(run())
    assert WINDOW <= len(stand.batcher.asked) <= WINDOW + 2
    assert read[0] <= WINDOW + 3
    stand.batcher.let_go()


def test_a_full_server_slows_a_stream_down_and_fails_no_line(sqlite_store: Store) -> None:
    batcher = Batcher(SlowEngine(0.001), batch=2, queue=8)
    with standing(sqlite_store, batcher=batcher) as stand:
        _, got = stream(stand, lines(*({"text": f"q{n}"} for n in range(200))))
        assert all("answer" in one for one in got)
        assert len(got) == 200
    batcher.stop()


def test_lines_are_found_wherever_the_pieces_end() -> None:
    async def split(*pieces: bytes) -> list[bytes | None]:
        async def come() -> Any:
            for piece in pieces:
                yield piece

        return [line async for line in lines_of(come())]

    long = b"x" * (LONGEST_LINE + 1)
    assert asyncio.run(split(b"a\nb", b"c\n", b"\n", b"d")) == [b"a", b"bc", b"", b"d"]
    assert asyncio.run(split(long[:70_000], long[70_000:], b"x\n", b"a")) == [None, b"a"]
    assert asyncio.run(split(long)) == [None]
    assert asyncio.run(split(b"")) == []


def open_stream(url: str, key: str) -> socket.socket:
    parts = urlsplit(url)
    sock = socket.create_connection((str(parts.hostname), int(parts.port or 0)), timeout=20)
    sock.sendall(
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: {MEDIA_TYPE}\r\n"
        "Transfer-Encoding: chunked\r\n\r\n".encode()
    )
    return sock


def chunk(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)


def read_all(sock: socket.socket) -> bytes:
    found = b""
    while piece := sock.recv(65_536):
        found += piece
    return found


def test_a_stream_may_take_long_but_a_sender_that_drips_is_cut_off(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoundedProtocol, "receive_seconds", 0.5)
    stand = Stand(sqlite_store)
    with background(stand.service) as url:
        good, bad = open_stream(url, stand.keys["shop"]), open_stream(url, stand.keys["shop"])
        dripping = threading.Thread(target=_drip, args=(bad,))
        dripping.start()
        for n in range(8):
            good.sendall(chunk(lines({"text": f"q{n}"})))
            time.sleep(0.2)
        good.sendall(chunk(b""))
        answers = read_all(good)
        began = time.monotonic()
        cut = read_all(bad)
        assert time.monotonic() - began < 5
        dripping.join()
    assert answers.count(b'"answer"') == 8
    assert answers.endswith(b"0\r\n\r\n")
    assert not cut.endswith(b"0\r\n\r\n")
    assert sqlite_store.answers.counts() == {("intent", "shop"): 8}


def _drip(sock: socket.socket) -> None:
    with suppress(OSError):
        for _ in range(40):
            sock.sendall(chunk(b" "))
            time.sleep(0.05)


def test_a_client_that_does_not_read_is_not_buffered_for(sqlite_store: Store) -> None:
    """The kernel takes some megabytes on the way; the server then asks nothing more until somebody reads."""
    stand = Stand(sqlite_store)
    with background(stand.service) as url, open_stream(url, stand.keys["shop"]) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        sending = threading.Thread(target=_send_all, args=(sock, 40_000), daemon=True)
        sending.start()
        asked = -1
        while asked != len(stand.batcher.asked):
            asked = len(stand.batcher.asked)
            time.sleep(0.7)
        assert asked < 35_000
        sock.close()
        sending.join()


def _send_all(sock: socket.socket, count: int) -> None:
    piece = chunk(lines(*({"text": "q" * 50} for _ in range(100))))
    with suppress(OSError):
        for _ in range(count // 100):
            sock.sendall(piece)


@pytest.mark.parametrize("stops", [False, True])
def test_a_client_that_never_reads_is_cut_off(
    stand: Stand, monkeypatch: pytest.MonkeyPatch, stops: bool
) -> None:
    """After a minute, or soon where the server stops."""
    monkeypatch.setattr(streaming, "_LAST" if stops else "UNREAD", 0.1)

    async def asked() -> bool:
        cut = asyncio.Event()

        async def receive() -> Any:
            return {
                "type": "http.disconnect" if cut.is_set() else "http.request",
                "body": lines({"text": "a"}),
            }

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                await cut.wait()  # as the protocol does while its buffer is full

        held = streaming.Held(abort=cut.set)
        if stops:
            held.stopping.set()
        scope = {"path": PATH, streaming.HELD: held}
        channel = await stand.service.authenticate(f"Bearer {stand.keys['shop']}")
        await asyncio.wait_for(streaming.Stream(stand.service, channel)(scope, receive, send), 10)
        return cut.is_set()

    assert stand.wait(asked())


@pytest.mark.parametrize("reads", [True, False])
def test_an_open_stream_does_not_hold_up_the_end_of_the_server(sqlite_store: Store, reads: bool) -> None:
    stand = Stand(sqlite_store)
    with background(stand.service) as url:
        sock = open_stream(url, stand.keys["shop"])
        if reads:
            sock.sendall(chunk(lines(*({"text": f"q{n}"} for n in range(5)))) + b'9\r\n{"text": ')
            got = b""
            while got.count(b'"answer"') < 5:
                got += sock.recv(65_536)
        else:
            threading.Thread(target=_send_all, args=(sock, 1_000_000), daemon=True).start()
            time.sleep(1)
        began = time.monotonic()
    assert time.monotonic() - began < 5
    if reads:
        last = json.loads((got + read_all(sock)).splitlines()[-4])
        assert last["read"] == 5
        assert last["stopped"]["detail"] == "The server is stopping. Ask again in 1 s."
    sock.close()


def test_what_was_received_before_the_client_went_is_stored(sqlite_store: Store) -> None:
    stand = Stand(sqlite_store)
    with background(stand.service) as url:
        sock = open_stream(url, stand.keys["shop"])
        sock.sendall(chunk(lines(*({"text": f"q{n}"} for n in range(50)))))
        got = b""
        while got.count(b'"answer"') < 50:
            got += sock.recv(65_536)
        sock.close()
        ids = [json.loads(line)["answer"]["id"] for line in got.split(b"\n") if line.startswith(b'{"line"')]
        assert [sqlite_store.answers.get(one).text for one in ids] == [f"q{n}" for n in range(len(ids))]
        assert stand.ask().status == 200


def test_the_route_is_documented_with_both_media_types(stand: Stand) -> None:
    operation = stand.get("/openapi.json").json["paths"][PATH]["post"]
    assert list(operation["requestBody"]["content"]) == [MEDIA_TYPE]
    assert list(operation["responses"]["200"]["content"]) == [MEDIA_TYPE]
    assert PATH in stand.get("/docs").body.decode()
