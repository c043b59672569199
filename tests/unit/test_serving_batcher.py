"""Batches, turns and limits of the inference thread, held by counts and order under an engine that waits."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import wait

import numpy as np
import pytest

from headrace.errors import NotServed, ServerFull
from headrace.serving.bank import Bank
from headrace.serving.batcher import Batcher
from headrace.serving.engine import Ask, Scored


class Gate:
    """An engine that answers a batch each time it is let through, and keeps every batch that it saw."""

    def __init__(self) -> None:
        self.batches: list[list[Ask]] = []
        self.banks: list[Bank] = []
        self.entered, self.open = threading.Semaphore(0), threading.Semaphore(0)

    def answer(self, asks: Sequence[Ask]) -> list[Scored | NotServed]:
        self.batches.append(list(asks))
        self.entered.release()
        assert self.open.acquire(timeout=10)
        return [self._one(ask) for ask in asks]

    def swap(self, bank: Bank) -> None:
        self.banks.append(bank)

    def _one(self, ask: Ask) -> Scored | NotServed:
        if ask.text == "explode":
            raise ValueError("exploded")
        if ask.task == "unknown":
            return NotServed("not yet.")
        return Scored((ask.text,), np.ones(1, np.float32), "r", "a", np.zeros(1, np.float32))


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def busy(gate: Gate) -> Iterator[Batcher]:
    """A batcher of 4 rows a batch and 8 waiting, whose thread is held in a first batch of one."""
    batcher = Batcher(gate, batch=4, queue=8)
    batcher.submit(Ask("t", "first", "first"))
    assert gate.entered.acquire(timeout=10)
    yield batcher
    gate.open.release(100)
    batcher.stop(timeout=10)


def ask(channel: str, text: str = "x") -> Ask:
    return Ask("t", channel, text)


def test_an_idle_server_answers_one_row_at_once(gate: Gate) -> None:
    batcher = Batcher(gate, batch=4)
    for number in range(3):
        future = batcher.submit(ask("a", str(number)))
        gate.open.release()
        assert future.result(timeout=10).label == str(number)
    batcher.stop()
    assert [len(batch) for batch in gate.batches] == [1, 1, 1]
    assert (batcher.counts.rows, batcher.counts.batches, batcher.counts.waiting) == (3, 3, 0)


def test_competing_channels_take_turns_and_each_keeps_its_order(busy: Batcher, gate: Gate) -> None:
    futures = [busy.submit(ask("noisy", f"n{i}")) for i in range(6)]
    futures += [busy.submit(ask(channel, channel)) for channel in ("b", "c")]
    assert busy.counts.waiting == 8
    gate.open.release(3)
    wait(futures, timeout=10)
    assert [[a.text for a in batch] for batch in gate.batches[1:]] == [
        ["n0", "b", "c", "n1"],
        ["n2", "n3", "n4", "n5"],
    ]
    assert [future.result().label for future in futures] == ["n0", "n1", "n2", "n3", "n4", "n5", "b", "c"]


def test_a_full_queue_refuses_and_says_when_to_ask_again(busy: Batcher) -> None:
    for _ in range(8):
        busy.submit(ask("a"))
    with pytest.raises(ServerFull) as refused:
        busy.submit(ask("a"))
    assert refused.value.retry_after >= 1
    assert (busy.counts.waiting, busy.counts.refused) == (8, 1)


def test_a_channel_that_fills_the_queue_gives_way_to_another_until_they_hold_the_same(busy: Batcher) -> None:
    noisy = [busy.submit(ask("noisy", f"n{i}")) for i in range(8)]
    for _ in range(4):
        busy.submit(ask("quiet"))
    with pytest.raises(ServerFull):
        busy.submit(ask("quiet"))
    assert [isinstance(f.exception(timeout=0), ServerFull) if f.done() else False for f in noisy] == [
        False
    ] * 4 + [True] * 4
    assert (busy.counts.waiting, busy.counts.refused) == (8, 5)


def test_an_exception_fails_its_own_batch_only(busy: Batcher, gate: Gate) -> None:
    bad = [busy.submit(ask("a", text)) for text in ("1", "explode", "2", "3")]
    good = [busy.submit(ask("a", text)) for text in ("4", "5")]
    gate.open.release(10)
    for future in bad:
        with pytest.raises(ValueError, match="exploded"):
            future.result(timeout=10)
    assert [future.result(timeout=10).label for future in good] == ["4", "5"]
    assert busy.counts.failed == 1


def test_what_is_not_served_fails_alone(busy: Batcher, gate: Gate) -> None:
    unknown, known = busy.submit(Ask("unknown", "a", "x")), busy.submit(ask("a", "y"))
    gate.open.release(10)
    with pytest.raises(NotServed):
        unknown.result(timeout=10)
    assert known.result(timeout=10).label == "y"
    assert busy.counts.failed == 0


def test_a_row_that_nobody_waits_for_any_more_is_not_inferred(busy: Batcher, gate: Gate) -> None:
    gone, kept = busy.submit(ask("a", "gone")), busy.submit(ask("a", "kept"))
    assert gone.cancel()
    gate.open.release(10)
    assert kept.result(timeout=10).label == "kept"
    assert [[a.text for a in batch] for batch in gate.batches] == [["first"], ["kept"]]
    assert busy.counts.waiting == 0


def test_stop_answers_what_waits_and_takes_no_more(busy: Batcher, gate: Gate) -> None:
    futures = [busy.submit(ask("a", str(i))) for i in range(6)]
    gate.open.release(10)
    busy.stop(timeout=10)
    assert [future.result(timeout=0).label for future in futures] == list("012345")
    with pytest.raises(ServerFull, match="stopping"):
        busy.submit(ask("a"))


def test_stop_without_draining_fails_what_waits_and_finishes_what_runs(busy: Batcher, gate: Gate) -> None:
    futures = [busy.submit(ask("a", str(i))) for i in range(6)]
    busy.stop(drain=False, timeout=0)
    assert all(isinstance(future.exception(timeout=0), ServerFull) for future in futures)
    gate.open.release(10)
    busy.stop(timeout=10)
    assert busy.counts.rows == 1
    assert busy.counts.waiting == 0


def test_a_swap_reaches_the_engine(busy: Batcher, gate: Gate) -> None:
    bank = Bank()
    busy.swap(bank)
    assert gate.banks == [bank]
