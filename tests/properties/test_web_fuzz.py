"""Mutated requests through the whole application: never a 5xx but 503, and always a problem document."""

from __future__ import annotations

import asyncio
import json
import random
import resource
from collections import Counter
from typing import Any

import pytest
from web_stand import Got, Stand, call, standing

from headrace.store import Store

SEED = 20260301
SAMPLES: tuple[object, ...] = (
    {"text": "when do you open?"},
    {"texts": ["a", "你好", "🙂", "e\u0301"], "task": "intent"},
    {"answer": "ans_1", "verdict": "correction", "label": "refund", "person": "p1"},
    {"answer": "ans_1", "verdict": "right"},
)
ODD: tuple[object, ...] = (
    None, True, 0, -1, 1e308, 2**70, "", " ", "\x00", "\u202e", "a" * 30_000, [], {}, [[]], {"": None},
    "ans_1", ["x"] * 65, "../../etc/passwd", "'; DROP TABLE answers; --", "%00", "\ud7ff",
    {"text": {"text": "x"}},
)  # fmt: skip
BYTES = (
    b"\x00",
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"{",
    b"}",
    b"[",
    b'"',
    b"\\u",
    b",",
    b"\r\n",
    b"9" * 400,
)
PATHS = ("/v1/predict", "/v1/predict", "/v1/predict", "/v1/feedback", "/v1/feedback", "/v1", "/", "/docs",
         "/healthz", "/metrics", "/v1/%2e%2e", "//x", "/v1/predict\x00", "/\udcff")  # fmt: skip
METHODS = ("POST",) * 12 + ("GET", "PUT", "HEAD", "OPTIONS", "TRACE", "")


def test_twenty_thousand_mutated_requests(sqlite_store: Store) -> None:
    _check_mutated(sqlite_store, 20_000)


@pytest.mark.torture
def test_a_million_mutated_requests(sqlite_store: Store) -> None:
    _check_mutated(sqlite_store, 1_000_000)


def _check_mutated(store: Store, count: int) -> None:
    """Counts are held here; the seed is printed with a failure."""
    rng = random.Random(SEED)
    with standing(store, body=20_000) as stand:
        stand.ask()
        seen: Counter[int] = Counter()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(count // 100):
            stand.batcher.full = rng.random() < 0.05
            requests = [_request(rng, stand) for _ in range(100)]
            for request, got in zip(requests, stand.wait(_together(stand, requests)), strict=True):
                _check(got, request)
                seen[got.status] += 1
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 64 * 1024  # KiB
    assert {200, 400, 401, 404, 405, 413, 415, 422, 503} <= set(seen), seen


async def _together(stand: Stand, requests: list[Any]) -> list[Got]:
    return list(await asyncio.gather(*(call(stand.app, *request) for request in requests)))


def _check(got: Got, request: Any) -> None:
    note = f"seed {SEED}: {request!r:.600} -> {got.status} {got.body[:300]!r}"
    assert got.status < 500 or got.status == 503, note
    if got.status >= 400:
        assert got.headers["content-type"] == "application/problem+json", note
        assert json.loads(got.body)["status"] == got.status, note
    if got.status in (429, 503):
        assert int(got.headers["retry-after"]) > 0, note


def _request(rng: random.Random, stand: Stand) -> tuple[str, str, list[tuple[bytes, bytes]], list[bytes]]:
    body = _mutated_bytes(rng, json.dumps(_mutated(rng, rng.choice(SAMPLES))).encode())
    headers = {b"authorization": b"Bearer " + stand.keys[rng.choice(["shop", "forum"])].encode()}
    headers[b"content-type"] = b"application/json"
    if rng.random() < 0.2:
        headers[b"idempotency-key"] = rng.choice(
            [b"k1", b"k2", b"", b"\xff", b"x" * 300, str(rng.random()).encode()]
        )
    if rng.random() < 0.1:
        name = rng.choice([*headers, b"content-length", b"host", b"content-encoding", b"cookie", b"range"])
        headers[name] = rng.choice(
            [b"", b"\xff\xfe", b"gzip", b"[", b"-1", b"99999999999999999999", b"bytes=0-"]
        )
    return rng.choice(METHODS), rng.choice(PATHS), list(headers.items()), _pieces(rng, body)


def _mutated(rng: random.Random, value: Any) -> Any:
    """The value with, half of the time, something odd in one place."""
    if rng.random() < 0.5:
        return value
    if isinstance(value, dict) and value:
        name = rng.choice(list(value))
        what = rng.randrange(4)
        if what == 0:
            return {key: inner for key, inner in value.items() if key != name}
        if what == 1:
            return value | {str(rng.choice(ODD))[:50]: rng.choice(ODD)}
        return value | {name: rng.choice(ODD) if what == 2 else _mutated(rng, value[name])}
    return rng.choice(ODD)


def _mutated_bytes(rng: random.Random, body: bytes) -> bytes:
    for _ in range(rng.choice([0, 0, 0, 1, 2, 8])):
        place = rng.randrange(len(body) + 1)
        body = body[:place] + rng.choice(BYTES) + body[place + rng.randrange(3) :]
    return body


def _pieces(rng: random.Random, body: bytes) -> list[bytes]:
    if rng.random() < 0.9:
        return [body]
    size = rng.choice([1, 2, 16, 1024])
    return [body[i : i + size] for i in range(0, len(body), size)] or [b""]
