"""A listening server: slow clients, overload, kill -9, a port in use, an open address, a gentle end."""

from __future__ import annotations

import http.client
import json
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from web_process import SlowEngine
from web_stand import LABELS, Stand

from headrace.channels.keys import new_key
from headrace.errors import InputError
from headrace.serving.batcher import Batcher
from headrace.store import Store
from headrace.web.protocol import HEAD_BYTES, BoundedProtocol
from headrace.web.server import background, is_loopback, listening, refuse_open_without_keys

SEED = 20260301
PROCESS = Path(__file__).parent.parent / "web_process.py"
Reply = tuple[int, dict[str, str], bytes]


class Client:
    """One connection with a key."""

    def __init__(self, url: str, key: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def post(self, path: str, body: object, key: str | None = None) -> Reply:
        headers = self._headers | ({"Idempotency-Key": key} if key else {})
        self._connection.request("POST", path, json.dumps(body), headers)
        got = self._connection.getresponse()
        return got.status, {k.lower(): v for k, v in got.getheaders()}, got.read()


def address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return str(parts.hostname), int(parts.port or 0)


def read_all(sock: socket.socket) -> bytes:
    """What comes until the other side closes."""
    found = b""
    with suppress(ConnectionError):
        while piece := sock.recv(65_536):
            found += piece
    return found


def test_half_open_connections_are_closed_and_hold_nobody_up(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """50 clients that say nothing, half a head, a byte at a time, half a body, or empty lines for ever."""
    monkeypatch.setattr(BoundedProtocol, "receive_seconds", 1.0)
    stand = Stand(sqlite_store)
    head = f"POST /v1/predict HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {stand.keys['shop']}\r\n"
    body = "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    chunked = "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"
    starts = ["", head, head + body, head + chunked, "\r\n"]
    drips = [b"", b"x", b" ", b"1\r\n \r\n", b"\r\n"]
    with background(stand.service) as url:
        socks = [socket.create_connection(address(url), timeout=10) for _ in range(50)]
        for n, sock in enumerate(socks):
            sock.sendall(starts[n % 5].encode())
        dripping = threading.Thread(target=_drip, args=(socks, drips))
        dripping.start()
        client = Client(url, stand.keys["shop"])
        statuses = Counter(client.post("/v1/predict", {"text": f"q{n}"})[0] for n in range(100))
        replies = [read_all(sock) for sock in socks]
        dripping.join()
        after = client.post("/v1/predict", {"text": "after"})[0]
    assert (statuses, after) == ({200: 100}, 200)
    assert all(reply == b"" or b" 408 " in reply.split(b"\r\n")[0] for reply in replies)
    assert sum(b"/docs#timeout" in reply for reply in replies) >= 10
    for sock in socks:
        sock.close()


def _drip(socks: list[socket.socket], drips: list[bytes]) -> None:
    for _ in range(40):
        for n, sock in enumerate(socks):
            with suppress(OSError):
                sock.send(drips[n % 5])
        time.sleep(0.05)


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nX-Long: " + b"a" * (HEAD_BYTES + 1),
        b"GET / HTTP/1.1\r\nX-Long: " + b"a" * (HEAD_BYTES + 1) + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(4000)) + b"\r\n",
        b"GET /" + b"a" * (HEAD_BYTES + 1) + b" HTTP/1.1\r\n\r\n",
    ],
)
def test_a_head_without_end_is_refused(sqlite_store: Store, head: bytes) -> None:
    with background(Stand(sqlite_store).service) as url:
        with socket.create_connection(address(url), timeout=10) as sock:
            sock.sendall(head)
            reply = read_all(sock)
        assert reply.startswith(b"HTTP/1.1 431 ")
        assert b"/docs#head-too-large" in reply
        with socket.create_connection(address(url), timeout=10) as sock:
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert b"200 OK" in read_all(sock)


def test_pipelined_requests_are_answered_in_order_and_bodies_are_counted(sqlite_store: Store) -> None:
    """Many requests in one packet, each with a head and a body, are no long head."""
    stand = Stand(sqlite_store)
    body = json.dumps({"text": "a" * 3000})
    one = (
        f"POST /v1/predict HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {stand.keys['shop']}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )
    with background(stand.service) as url, socket.create_connection(address(url), timeout=10) as sock:
        sock.sendall((one * 19 + one.replace("Host: x", "Connection: close")).encode())
        assert read_all(sock).count(b"HTTP/1.1 200 OK") == 20


def test_overload_is_refused_by_count_and_passes(sqlite_store: Store) -> None:
    """32 clients on a queue of 4: each reply is an answer, or 503 with Retry-After."""
    stand = Stand(sqlite_store, batcher=Batcher(SlowEngine(0.01), batch=2, queue=4))
    with background(stand.service) as url:

        def work(thread: int) -> list[Reply]:
            client = Client(url, stand.keys["shop"])
            return [client.post("/v1/predict", {"text": f"q{thread}-{n}"}) for n in range(10)]

        with ThreadPoolExecutor(32) as pool:
            replies = [reply for some in pool.map(work, range(32)) for reply in some]
        after = Client(url, stand.keys["shop"]).post("/v1/predict", {"text": "after"})[0]
    counts = Counter(status for status, _, _ in replies)
    assert set(counts) == {200, 503}
    assert all(int(headers["retry-after"]) >= 1 for status, headers, _ in replies if status == 503)
    assert after == 200
    assert sqlite_store.answers.counts() == {("intent", "shop"): counts[200] + 1}
    assert sqlite_store.usage.asked("shop", "2026-03-01") == counts[200] + 1


@contextmanager
def process(folder: Path, seconds: float = 0.0) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """A server process, its URL and key."""
    started = subprocess.Popen(
        [sys.executable, str(PROCESS), str(folder), str(seconds)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert started.stdout is not None
        said = json.loads(started.stdout.readline())
        yield started, said["url"], said["key"]
    finally:
        started.kill()
        started.wait()
        if started.stdout is not None:
            started.stdout.close()


def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    _check_kills(tmp_path, 3)


@pytest.mark.torture
def test_kill_9_a_hundred_times(tmp_path: Path) -> None:
    _check_kills(tmp_path, 100)


def _check_kills(folder: Path, times: int) -> None:
    """Each round asks and corrects with eight clients, kills at a random moment, and compares; seeded."""
    rng = random.Random(SEED)
    acknowledged: list[tuple[str, str, object, bytes]] = []
    for number in range(times):
        with process(folder) as (server, url, key), ThreadPoolExecutor(8) as pool:
            clients = [pool.submit(_hammer, url, key, f"{number}-{n}", acknowledged) for n in range(8)]
            target = len(acknowledged) + rng.randrange(20, 200)
            while len(acknowledged) < target and not any(client.done() for client in clients):
                time.sleep(0.001)
            server.send_signal(signal.SIGKILL)
            for client in clients:
                client.result()
        _compare(folder, acknowledged)
    with process(folder) as (_, url, key):
        again = Client(url, key)
        keyed = [one for one in acknowledged if one[1]]
        for path, idempotency_key, body, first in rng.sample(keyed, 30):
            assert again.post(path, body, idempotency_key)[::2] == (200, first)


def _hammer(url: str, key: str, name: str, acknowledged: list[tuple[str, str, object, bytes]]) -> None:
    """Ask and correct until the server is gone; what was answered with 200 is acknowledged."""
    with suppress(OSError, http.client.HTTPException):
        client = Client(url, key)
        for n in range(10_000):
            ask = {"text": f"question {name}-{n}"}
            key = f"p{name}-{n}" if n % 2 else ""  # without one it goes past the framework
            status, _, body = client.post("/v1/predict", ask, key)
            assert status == 200
            acknowledged.append(("/v1/predict", key, ask, body))
            answer = json.loads(body)["answers"][0]["id"]
            said = {"answer": answer, "verdict": "correction", "label": LABELS[n % len(LABELS)]}
            status, _, body = client.post("/v1/feedback", said, f"f{name}-{n}")
            assert status == 200
            acknowledged.append(("/v1/feedback", f"f{name}-{n}", said, body))


def _compare(folder: Path, acknowledged: list[tuple[str, str, object, bytes]]) -> None:
    store = Store.open("store.db", folder)
    feedback = {stored.id: stored for stored in store.feedback.list()}
    for path, key, sent, body in acknowledged:
        told: Any = json.loads(body)
        if path == "/v1/predict":
            assert store.answers.get(told["answers"][0]["id"], channel="shop").text == sent["text"]  # type: ignore[index]
        else:
            assert feedback[told["id"]].label == sent["label"]  # type: ignore[index]
        kept = store.replies.find("shop", key) if key else None
        assert (kept is None) == (key == "")
        if kept is not None:
            assert (kept.status, kept.body) == (200, body.decode())
    assert store.usage.asked("shop", "2026-03-01") == sum(store.answers.counts().values())
    store.close()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_requests_under_way_end_and_then_closes(tmp_path: Path, how: signal.Signals) -> None:
    with process(tmp_path, seconds=0.5) as (server, url, key), ThreadPoolExecutor(1) as pool:
        Client(url, key).post("/v1/predict", {"text": "first"})
        under_way = pool.submit(Client(url, key).post, "/v1/predict", {"text": "second"})
        time.sleep(0.2)
        server.send_signal(how)
        assert under_way.result(20)[0] == 200
        assert server.stdout is not None
        assert server.stdout.readline() == "closed\n"
        assert server.wait(20) == 0


def test_a_port_in_use_is_named_with_the_cure() -> None:
    with listening("127.0.0.1", 0) as bound:
        port = bound.getsockname()[1]
        with pytest.raises(InputError) as caught, listening("127.0.0.1", port):
            raise AssertionError
    assert caught.value.field == "port"
    assert str(port) in caught.value.what
    assert "--port" in caught.value.cure


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1"])
def test_an_address_that_is_not_here_is_named(host: str) -> None:
    with pytest.raises(InputError) as caught, listening(host, 0):
        raise AssertionError
    assert host in caught.value.what


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "shop.example"])
def test_an_address_open_to_all_is_refused_until_there_is_a_key(sqlite_store: Store, host: str) -> None:
    with pytest.raises(InputError, match="headrace key new"):
        refuse_open_without_keys(sqlite_store, host)
    key, _ = new_key(sqlite_store.keys, "shop")
    refuse_open_without_keys(sqlite_store, host)
    sqlite_store.keys.revoke(key.id, key.created)
    with pytest.raises(InputError):
        refuse_open_without_keys(sqlite_store, host)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_this_machine_alone_needs_no_key(sqlite_store: Store, host: str) -> None:
    refuse_open_without_keys(sqlite_store, host)
    assert is_loopback(host)
