"""One row per key, equal status and body again, another body refused; duplicated, reordered, cut off."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from web_stand import Got, Stand, standing

from headrace.errors import StoreFull
from headrace.feedback.record import pseudonym
from headrace.records import Answer
from headrace.store import Reply, Store
from headrace.web.writer import Claim, Entry, Writer

SEED = 20260301


@pytest.fixture
def stand(sqlite_store: Store) -> Iterator[Stand]:
    with standing(sqlite_store) as made:
        yield made


@pytest.fixture
def both(store: Store) -> Iterator[Stand]:
    """A stand over either database."""
    with standing(store) as made:
        yield made


def test_feedbacks_duplicated_and_reordered_make_one_row_a_key(both: Stand) -> None:
    assert _storm(both, count=2_000) > 500


@pytest.mark.torture
def test_a_hundred_thousand_feedbacks_make_one_row_a_key(both: Stand) -> None:
    assert _storm(both, count=100_000) > 25_000


def _storm(stand: Stand, *, count: int) -> int:
    """Each request comes 1 to 4 times, shuffled, 64 at a time; every tenth is cut off. Gives the rows made."""
    rng = np.random.default_rng(SEED)
    answer = stand.ask().json["answers"][0]["id"]
    numbers = np.repeat(np.arange(count // 2), rng.integers(1, 4, count // 2))[:count]
    rng.shuffle(numbers)
    first: dict[int, tuple[int, bytes]] = {}
    refused = 0
    for start in range(0, len(numbers), 64):
        chunk = numbers[start : start + 64].tolist()
        bodies = [{"answer": answer, "verdict": "wrong", "person": f"p{n}"} for n in chunk]
        sends = [
            stand.send("POST", "/v1/feedback", body, stand.headers(key=f"key-{n}"))
            for n, body in zip(chunk, bodies, strict=True)
        ]
        cut = [bool(rng.random() < 0.1) for _ in chunk]
        for n, gone, got in zip(chunk, cut, stand.wait(_cut_off(sends, cut)), strict=True):
            if got is None or gone:
                continue
            if got.status == 409:
                assert got.json["type"] == "/docs#in-flight"
                refused += 1
                continue
            assert got.status == 200
            assert first.setdefault(n, (got.status, got.body)) == (got.status, got.body)
    stored, salt = stand.store.feedback.list(), stand.store.salts.persons(str)
    assert len({feedback.person for feedback in stored}) == len(stored)
    assert {pseudonym(f"p{n}", salt) for n in first} <= {feedback.person for feedback in stored}
    ids = {feedback.id: feedback.person for feedback in stored}
    for n, (_, body) in first.items():
        assert ids[Got(200, {}, body).json["id"]] == pseudonym(f"p{n}", salt)
    return len(stored)


async def _cut_off(sends: list[Any], cut: list[bool]) -> list[Got | None]:
    """All at once; those in `cut` are cancelled on their way, as when a process ends."""
    tasks = [asyncio.ensure_future(send) for send in sends]
    await asyncio.sleep(0.001)
    for task, gone in zip(tasks, cut, strict=True):
        if gone:
            task.cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    return [got if isinstance(got, Got) else None for got in found]


def test_the_same_request_again_gives_the_same_answer_and_costs_no_quota(stand: Stand) -> None:
    got = [stand.post("/v1/predict", {"text": "a"}, "partner", key="k") for _ in range(20)]
    assert {g.status for g in got} == {200}
    assert len({g.body for g in got}) == 1
    assert "idempotent-replayed" not in got[0].headers
    assert {g.headers["idempotent-replayed"] for g in got[1:]} == {"true"}
    assert stand.store.usage.asked("partner", "2026-03-01") == 1
    assert sum(stand.store.answers.counts().values()) == 1


@pytest.mark.parametrize("other", [{"text": "b"}, {"text": "a", "task": "intent"}, {"no": "field"}, {}])
def test_the_same_key_with_another_body_is_refused(stand: Stand, other: dict[str, str]) -> None:
    assert stand.post("/v1/predict", {"text": "a"}, key="k").status == 200
    got = stand.post("/v1/predict", other, key="k")
    assert (got.status, got.json["type"]) == (409, "/docs#key-reused")
    on_another_route = stand.post("/v1/feedback", {"text": "a"}, key="k")
    assert (on_another_route.status, on_another_route.json["type"]) == (409, "/docs#key-reused")


def test_a_twin_in_flight_is_refused_and_nothing_is_kept_of_the_refusal(stand: Stand) -> None:
    stand.batcher.held = True

    async def twins() -> list[Got]:
        first = asyncio.ensure_future(
            stand.send("POST", "/v1/predict", {"text": "a"}, stand.headers(key="k"))
        )
        while not stand.batcher.waiting:
            await asyncio.sleep(0.001)
        second = await stand.send("POST", "/v1/predict", {"text": "a"}, stand.headers(key="k"))
        stand.batcher.let_go()
        return [
            await first,
            second,
            await stand.send("POST", "/v1/predict", {"text": "a"}, stand.headers(key="k")),
        ]

    first, second, third = stand.wait(twins())
    assert (first.status, second.status, third.status) == (200, 409, 200)
    assert second.json["type"] == "/docs#in-flight"
    assert third.body == first.body


def test_nothing_is_kept_of_a_request_that_was_refused_before_it_was_carried_out(stand: Stand) -> None:
    assert stand.post("/v1/predict", {"text": ""}, "partner", key="k").status == 422
    assert stand.post("/v1/predict", b"{", "partner", key="k").status == 400
    stand.batcher.full = True
    assert stand.post("/v1/predict", {"text": "a"}, "partner", key="k").status == 503
    stand.batcher.full = False
    stand.batcher.missing.add(("intent", "partner"))
    assert stand.post("/v1/predict", {"text": "a"}, "partner", key="k").status == 503
    stand.batcher.missing.clear()
    assert stand.post("/v1/predict", {"texts": ["a"] * 6}, "partner", key="k").status == 429
    assert (
        stand.post("/v1/feedback", {"answer": "ans_0", "verdict": "right"}, "partner", key="k").status == 404
    )
    assert stand.post("/v1/predict", {"text": "a"}, "partner", key="k").status == 200


def test_an_error_of_ours_is_kept_and_given_again(stand: Stand) -> None:
    stand.batcher.broken = True
    first = stand.post("/v1/predict", {"text": "a"}, key="k")
    stand.batcher.broken = False
    second = stand.post("/v1/predict", {"text": "a"}, key="k")
    assert (first.status, second.status) == (500, 500)
    assert first.body == second.body
    assert second.headers["content-type"] == "application/problem+json"
    assert stand.post("/v1/predict", {"text": "a"}, key="k2").status == 200


def test_where_the_reply_cannot_be_stored_nothing_is(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: object) -> None:
        raise StoreFull("no space is left for the store.")

    monkeypatch.setattr(stand.store.replies, "add_in", full)
    assert stand.post("/v1/predict", {"text": "a"}, key="k").status == 503
    assert stand.store.answers.counts() == {}
    monkeypatch.undo()
    assert stand.post("/v1/predict", {"text": "a"}, key="k").status == 200


@pytest.mark.parametrize("key", ["", "x" * 256, "\u00e9", "a\tb"])
def test_a_key_of_bad_form_is_refused(stand: Stand, key: str) -> None:
    got = stand.post("/v1/predict", {"text": "a"}, key=key)
    assert (got.status, got.json["field"]) == (422, "Idempotency-Key")


def test_keys_of_255_characters_are_fine(stand: Stand) -> None:
    got = [stand.post("/v1/predict", {"text": "a"}, key="x" * 254 + end).json for end in "aab"]
    assert got[0] == got[1] != got[2]


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    hours=st.floats(0.1, 23.9),
    other=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20),
)
def test_replies_are_kept_for_a_day(sqlite_store: Store, hours: float, other: str) -> None:
    from datetime import timedelta

    with standing(sqlite_store) as stand:
        key = f"{other}-{hours}"
        first = stand.post("/v1/predict", {"text": other}, key=key)
        stand.now += timedelta(hours=hours)
        stand.service._watch.look()
        again = stand.post("/v1/predict", {"text": other}, key=key)
        assert (again.status, again.body) == (first.status, first.body)
        stand.now += timedelta(hours=72)
        stand.service._watch.look()
        assert stand.post("/v1/predict", {"text": other}, key=key).body != first.body


def test_eight_threads_and_two_processes_worth_of_writers_make_one_row_a_key(store: Store) -> None:
    """Two writers know nothing of each other's requests: the store alone decides who was first."""
    with standing(store) as stand:
        writers = [Writer(store), Writer(store)]
        at = stand.now
        wins: list[tuple[str, str]] = []
        lock = threading.Lock()

        def work(thread: int) -> None:
            for n in range(40):
                answer = Answer(f"a{thread}-{n}", "shop", "intent", "t", "l", 0.5, "rel", "adp", at)
                entry = Entry(
                    at, [answer], claim=Claim("shop", f"k{n}", "d"), reply=Reply("d", 200, answer.id)
                )
                kept = writers[thread % 2].put(entry).result(30)
                with lock:
                    wins.append((f"k{n}", kept.reply.body or ""))

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))
        for writer in writers:
            writer.stop()
        assert len(wins) == 320
        assert len(set(wins)) == 40
        assert sum(store.answers.counts().values()) == 40
