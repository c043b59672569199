"""Batches, turns and limits of the inference thread, held by counts and order under an engine that waits."""

from __future__ import annotations

import queue
import threading
from collections.abc import Hashable, Iterator, Sequence
from concurrent.futures import wait

import numpy as np
import pytest

from headrace.errors import ArtifactError, NotServed, ServerFull
from headrace.serving.bank import Bank
from headrace.serving.batcher import Batcher
from headrace.serving.engine import Ask, Scored


class Gate:
    """An engine that answers a batch each time it is let through, and keeps every batch that it saw."""

    def __init__(self) -> None:
        self.batches: list[list[Ask]] = []
        self.banks: list[Bank] = []
        self.entered, self.open = threading.Semaphore(0), threading.Semaphore(0)
        self.on_disk: set[str] = set()
        self.fetches: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.disk = threading.Semaphore(0)

    def answer(self, asks: Sequence[Ask]) -> list[Scored | NotServed]:
        self.batches.append(list(asks))
        self.entered.release()
        assert self.open.acquire(timeout=10)
        return [self._one(ask) for ask in asks]

    def swap(self, bank: Bank) -> None:
        self.banks.append(bank)

    def cost(self, ask: Ask) -> int:
        return max(1, len(ask.text) // 100)

    def absent(self, ask: Ask) -> str | None:
        return ask.channel if ask.channel in self.on_disk else None

    def fetch(self, key: Hashable) -> None:
        self.fetches.put(str(key))
        assert self.disk.acquire(timeout=10)
        if key == "damaged":
            raise ArtifactError("head.safetensors is damaged.")
        self.on_disk.discard(str(key))

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


def test_channels_get_equal_tokens_not_equal_rows(busy: Batcher, gate: Gate) -> None:
    """Rows of 400 letters take four tokens, short ones one: of the first ten tokens each channel gets half."""
    long = [busy.submit(ask("long", "l" * 400)) for _ in range(2)]
    short = [busy.submit(ask("short", "s")) for _ in range(6)]
    gate.open.release(10)
    wait([*long, *short], timeout=10)
    order = "".join(a.text[0] for batch in gate.batches[1:] for a in batch)
    assert order == "lsssslss"


def test_a_channel_that_was_away_has_saved_nothing_up(gate: Gate) -> None:
    batcher = Batcher(gate, batch=1, queue=100)
    gate.open.release(1000)
    for _ in range(30):
        batcher.submit(ask("early")).result(10)
    gate.open = threading.Semaphore(0)
    batcher.submit(ask("early", "held"))
    while gate.entered.acquire(timeout=0.2):
        pass
    futures = [
        batcher.submit(ask(channel)) for channel in ("late", "late", "late", "early", "early", "early")
    ]
    gate.open.release(100)
    wait(futures, timeout=10)
    batcher.stop(timeout=10)
    order = [batch[0].channel for batch in gate.batches[31:]]
    assert order == ["late", "early", "late", "early", "late", "early"]


def test_rows_on_disk_stand_aside_and_nobody_waits_for_them(gate: Gate) -> None:
    gate.on_disk = {"cold"}
    batcher = Batcher(gate, batch=4, queue=8)
    gate.open.release(100)
    cold = [batcher.submit(ask("cold", f"c{i}")) for i in range(3)]
    assert gate.fetches.get(timeout=10) == "cold"
    assert [batcher.submit(ask("warm", str(i))).result(10).label for i in range(20)]
    assert not any(future.done() for future in cold)
    assert batcher.counts.waiting == 3
    gate.disk.release(1)
    assert [future.result(10).label for future in cold] == ["c0", "c1", "c2"]
    assert (gate.fetches.empty(), batcher.counts.fetched, batcher.counts.waiting) == (True, 1, 0)
    batcher.stop(timeout=10)


def test_rows_that_come_back_go_before_their_channel_s_others(busy: Batcher, gate: Gate) -> None:
    gate.on_disk = {"cold"}
    first = [busy.submit(ask("cold", f"first{i}")) for i in range(2)]
    gate.open.release(1)
    assert gate.fetches.get(timeout=10) == "cold"
    busy.submit(ask("warm", "hold"))
    assert gate.entered.acquire(timeout=10)
    later = busy.submit(ask("cold", "later"))
    gate.disk.release(1)
    while "cold" in gate.on_disk:
        pass
    gate.open.release(100)
    wait([*first, later], timeout=10)
    asked = [a.text for batch in gate.batches for a in batch if a.channel == "cold"]
    assert asked == ["first0", "first1", "later"]


def test_a_fetch_that_fails_fails_its_own_rows_only(gate: Gate) -> None:
    gate.on_disk = {"damaged", "cold"}
    batcher = Batcher(gate, batch=4, queue=8)
    gate.open.release(100)
    gate.disk.release(10)
    bad, good = [batcher.submit(ask("damaged")) for _ in range(2)], batcher.submit(ask("cold", "good"))
    for future in bad:
        with pytest.raises(ArtifactError, match="damaged"):
            future.result(10)
    assert good.result(10).label == "good"
    assert batcher.counts.waiting == 0
    batcher.stop(timeout=10)


def test_stop_waits_for_what_stands_aside(gate: Gate) -> None:
    gate.on_disk = {"cold"}
    batcher = Batcher(gate, batch=4, queue=8)
    gate.open.release(100)
    cold = batcher.submit(ask("cold", "c"))
    gate.fetches.get(timeout=10)
    gate.disk.release(1)
    batcher.stop(timeout=10)
    assert cold.result(0).label == "c"


def test_a_call_of_several_rows_is_told_once_with_all_or_with_the_first_error(
    busy: Batcher, gate: Gate
) -> None:
    told: queue.SimpleQueue[object] = queue.SimpleQueue()
    busy.post([ask("a", str(i)) for i in range(3)], told.put)
    busy.post([ask("b", "x"), Ask("unknown", "b", "y"), ask("b", "z")], told.put)
    gate.open.release(100)
    heard = [told.get(timeout=10) for _ in range(2)]
    (answers,) = [found for found in heard if isinstance(found, list)]
    assert [one.label for one in answers] == ["0", "1", "2"]
    assert any(isinstance(found, NotServed) for found in heard)
    busy.stop(timeout=10)
    assert told.empty()


def test_a_call_that_finds_no_room_is_refused_whole_and_told_nothing(busy: Batcher, gate: Gate) -> None:
    told: queue.SimpleQueue[object] = queue.SimpleQueue()
    kept = [busy.submit(ask("a")) for _ in range(6)]
    with pytest.raises(ServerFull):
        busy.post([ask("a") for _ in range(3)], told.put)
    assert busy.counts.waiting == 6
    gate.open.release(100)
    wait(kept, timeout=10)
    busy.stop(timeout=10)
    assert told.empty()
    assert sum(len(batch) for batch in gate.batches) == 1 + 6


def test_a_refused_call_costs_no_other_channel_its_rows(busy: Batcher, gate: Gate) -> None:
    told: queue.SimpleQueue[object] = queue.SimpleQueue()
    kept = [busy.submit(ask("a", str(i))) for i in range(8)]
    with pytest.raises(ServerFull):
        busy.post([ask("b", str(i)) for i in range(9)], told.put)
    assert busy.counts.waiting == 8
    assert not any(future.done() for future in kept)
    one = busy.submit(ask("b", "after"))
    gate.open.release(100)
    assert one.result(10).label == "after"
    wait(kept, timeout=10)
    failed = [future for future in kept if future.exception() is not None]
    assert len(failed) == 1, "one row of the longest made room for the one that was taken"
    assert told.empty()


def test_overload_passes_and_leaves_nothing_behind(gate: Gate) -> None:
    """Ten channels offer three times what the queue takes; all that was taken is answered, then all is well."""
    batcher = Batcher(gate, batch=4, queue=16)
    taken, refused = [], 0
    for i in range(48):
        try:
            taken.append(batcher.submit(ask(f"c{i % 10}", str(i))))
        except ServerFull as error:
            refused += error.retry_after >= 1
    gate.open.release(1000)
    wait(taken, timeout=10)
    failed = sum(isinstance(future.exception(), ServerFull) for future in taken)
    assert refused + failed == batcher.counts.refused > 0
    assert batcher.submit(ask("after", "fine")).result(10).label == "fine"
    assert batcher.counts.waiting == 0
    batcher.stop(timeout=10)


def test_a_loud_channel_does_not_make_the_batches_of_others_long(gate: Gate) -> None:
    batcher = Batcher(gate, batch=32, queue=500)
    batcher.submit(ask("quiet", "first"))
    assert gate.entered.acquire(timeout=10)
    loud = [batcher.submit(ask("loud", f"loud {n}")) for n in range(200)]
    quiet = [batcher.submit(ask(f"quiet {n}")) for n in range(6)]
    gate.open.release(2)
    for _ in range(2):
        assert gate.entered.acquire(timeout=10)
    asked = [one.channel for one in gate.batches[1]]
    assert sorted(set(asked)) == ["loud", *(f"quiet {n}" for n in range(6))]
    assert asked.count("loud") == 6  # as many as the others have, and not the 26 that there is room for
    assert [one.channel for one in gate.batches[2]] == ["loud"] * 4
    gate.open.release(100)
    assert len(wait([*loud, *quiet], 10).done) == 206
    assert [one.text for batch in gate.batches for one in batch if one.channel == "loud"] == [
        f"loud {n}" for n in range(200)
    ]
    assert max(map(len, gate.batches)) == 32  # alone for a while, it has the whole server
    batcher.stop(timeout=10)
