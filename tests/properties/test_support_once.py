"""To each message the machine makes one reply, whoever asks for it how often, and wherever the process dies."""

from __future__ import annotations

import itertools
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, event
from support_stand import PretendGuarantee, Stand

from headrace.apps.support.outcomes import Reply
from headrace.apps.support.policy import coin, quoted
from headrace.records import Message

TEXTS = ("a key?", "zebra", "转人工", "this is useless", "roll it back", "额度?")


def made(stand: Stand) -> Counter[str]:
    """The machine's proposals by the message that they answer."""
    store = stand.project.store.conversations
    said = [m for c in store.list(limit=1000) for m in store.messages(c.id)]
    return Counter(m.reply_to for m in said if m.author == "machine" and m.reply_to)


class Died(BaseException):
    """The process is gone: nothing catches it, nothing after it happens."""


@contextmanager
def dying_at(stand: Stand, write: int) -> Iterator[None]:
    """The process dies before its write of that number, or its commit, reaches the disk.

    Between two of them it changes nothing, so that to die anywhere there is the same.
    """
    numbers = itertools.count()

    def before(_: Connection, __: object, statement: str, *___: object) -> None:
        if statement.startswith(("INSERT", "UPDATE")):
            die()

    def die(*_: object) -> None:
        if next(numbers) == write:
            raise Died

    engine = stand.project.store.database.engine
    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "commit", die)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", before)
        event.remove(engine, "commit", die)


def test_wherever_the_process_dies_nothing_is_lost_or_said_twice(tmp_path: Path) -> None:
    stand = Stand(tmp_path / "project", PretendGuarantee(0.8, 0.5, drawn=0.5))
    for text, sure in (("a key?", 0.9), ("a key?", 0.6), ("a key?", 0.1), ("zebra", 0.9), ("转人工", 0.9)):
        stand.model.sure = sure
        for write in itertools.count():
            conversation = stand.desk.begin("shop").conversation.id
            received: list[Message] = []
            try:
                with dying_at(stand, write):
                    received.append(stand.desk.receive(conversation, text, message_id="m"))
                    stand.desk.reply(received[0])
                died = False
            except Died:
                died = True
            again = stand.another()
            again.resume()
            message = again.receive(conversation, text, message_id="m")
            assert received in ([], [message])
            reply = again.reply(message)
            assert again.reply(message) == reply
            said = stand.project.store.conversations.messages(conversation)
            assert [m.author for m in said].count("customer") == 1
            tickets = stand.project.store.tickets.of(conversation)
            assert len(tickets) == (reply.decision == "person")
            if not died:
                break
        assert write > 4, "the process died within the reply"
    assert set(made(stand).values()) == {1}
    assert stand.project.store.conversations.unanswered() == []


@settings(max_examples=5, deadline=None)
@given(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=4), st.floats(0, 1))
def test_many_who_ask_for_a_reply_at_once_get_the_same(texts: list[str], sure: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        stand = Stand(Path(folder) / "project", PretendGuarantee(0.8, 0.5, drawn=0.5))
        stand.model.sure = sure
        messages = [stand.desk.receive(stand.desk.begin("shop").conversation.id, text) for text in texts]
        desks = [stand.another() for _ in range(4)]
        gate = threading.Barrier(len(desks))

        def work(number: int) -> list[Reply]:
            gate.wait()
            ordered = messages if number % 2 else messages[::-1]
            replies = {m.id: desks[number].reply(m) for m in ordered}
            return [replies[m.id] for m in messages]

        with ThreadPoolExecutor(len(desks)) as threads:
            first, *others = threads.map(work, range(len(desks)))
        assert all(other == first for other in others)
        assert made(stand) == {m.id: 1 for m in messages}
        assert len(stand.told) == sum(reply.ticket is not None for reply in first)


@settings(max_examples=50, deadline=None)
@given(st.text(st.sampled_from("ab. 。!\n"), max_size=60), st.integers(1, 40))
def test_a_quote_is_the_beginning_of_the_text_unaltered(text: str, longest: int) -> None:
    found = quoted(text, longest)
    assert text.startswith(found)
    assert len(found) <= longest
    assert found or not text.strip()


def test_the_coin_is_fair_and_nobody_without_the_salt_foresees_it() -> None:
    thrown = [coin(f"msg_{number}", b"salt") for number in range(4000)]
    assert abs(sum(one < 0.02 for one in thrown) / 4000 - 0.02) < 0.01
    assert [coin(f"msg_{number}", b"other") < 0.5 for number in range(64)] != [
        one < 0.5 for one in thrown[:64]
    ]


@pytest.mark.parametrize("held", [0.0, 1.0])
def test_who_listens_never_sees_what_was_held_back(tmp_path: Path, held: float) -> None:
    stand = Stand(tmp_path / "project", PretendGuarantee(held * 2, held * 2, drawn=1.0))
    conversation = stand.desk.begin("shop").conversation.id
    stand.desk.reply(stand.desk.receive(conversation, "a key?"))
    seen = [m.text for m in stand.desk.since(conversation)]
    assert any("headrace key new" in text for text in seen) == (held == 0.0)
