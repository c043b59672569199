"""The client of benchmarks.http: every request is answered once, and a delay counts from when it was due."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest
from web_process import SlowEngine
from web_stand import Stand

from benchmarks.client import arrivals, closed, request
from headrace.serving.batcher import Batcher
from headrace.store import Store
from headrace.web.server import background


@pytest.fixture
def asked(sqlite_store: Store) -> Iterator[tuple[int, list[bytes]]]:
    """The port of a server whose engine takes 50 ms for each batch of one, and requests of two channels."""
    stand = Stand(sqlite_store, batcher=Batcher(SlowEngine(0.05), batch=1))
    requests = [
        request("/v1/predict", json.dumps({"text": f"q{n}"}).encode(), stand.keys[name])
        for n, name in enumerate(("shop", "partner") * 20)
    ]
    with background(stand.service) as url:
        yield int(url.rsplit(":", 1)[1]), requests


def test_closed_asks_in_turn_until_the_time_is_over(asked: tuple[int, list[bytes]]) -> None:
    port, requests = asked
    heard = closed(port, requests[::2], 4, 0.4)
    assert set(heard.statuses) == {200}
    assert 4 <= heard.answers <= 16
    assert heard.seconds >= 0.4


def test_arrivals_that_come_at_once_wait_for_each_other(asked: tuple[int, list[bytes]]) -> None:
    """Eight at one moment behind an engine of 50 ms a row: the last has waited for all."""
    port, requests = asked
    heard = arrivals(port, requests[::2], np.full(8, 0.05))
    assert heard.answers == 8
    assert heard.delays.max() > 8 * 0.05
    assert heard.delays.min() < heard.delays.max() - 5 * 0.05


def test_refusals_are_told_apart(asked: tuple[int, list[bytes]]) -> None:
    heard = arrivals(*asked, np.linspace(0, 0.2, 20))
    assert heard.statuses == {200: 15, 429: 5}
    assert [int(status) for status in heard.answered[1::2]].count(429) == 5
    assert heard.p99(heard.answered == 200) >= 0.05
