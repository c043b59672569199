"""Waiting tickets are told, signed, again and again where that takes it; an answer never waits for it."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from standardwebhooks import Webhook
from stub_apprise import StubApprise

from headrace.apps.support.notify import TRIES, WAITING, Notifier, post, webhook_secret
from headrace.recipe import Recipe
from headrace.records import Conversation, Ticket
from headrace.store import Store

NOW = datetime.now(UTC)
CONVERSATION = Conversation("cnv_1", "website", "zh", "digest", NOW, contact="ann@example.org")
HOOK = "https://owner:pass@hook.example/t?token=s3cret"


def ticket(number: int = 1) -> Ticket:
    return Ticket(f"tkt_{number}", "cnv_1", "website", "msg_1", "unsure", NOW)


def recipe(webhook: str | None = HOOK, *to: str, on: tuple[str, ...] = ("ticket",)) -> Recipe:
    return Recipe.model_validate(
        {"name": "shop", "support": {"webhook": webhook}, "alerts": {"to": to, "on": on}}
    )


class Receiver:
    """Answers with the statuses it was given, the last for ever; remembers what came."""

    def __init__(self, *statuses: int | Exception) -> None:
        self.statuses = list(statuses)
        self.came: list[tuple[str, bytes, Mapping[str, str]]] = []

    def __call__(self, address: str, body: bytes, headers: Mapping[str, str]) -> int:
        self.came.append((address, body, headers))
        found = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if isinstance(found, Exception):
            raise found
        return found


class Moments:
    """A clock that jumps as far as is waited for."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 100.0
        return self.now


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open("store.db", tmp_path, create=True).closing() as opened:
        yield opened


def soon(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


def test_a_delivery_is_one_that_the_standard_verifies_and_says_nothing_that_a_customer_wrote(
    store: Store,
) -> None:
    receiver = Receiver(204)
    notifier = Notifier(store, recipe(), clock=lambda: datetime.now(UTC), send=receiver)
    notifier(ticket(), CONVERSATION)
    soon(lambda: bool(receiver.came))
    notifier.close()
    address, body, headers = receiver.came[0]
    found = Webhook(webhook_secret(store)).verify(body, dict(headers))
    assert (address, headers["webhook-id"], found["type"]) == (HOOK, "tkt_1", "ticket.waiting")
    assert found["data"]["reason"] == "unsure"
    assert "ann@example.org" not in body.decode()
    assert set(json.loads(body)) == {"type", "timestamp", "data"}


def test_what_fails_is_sent_again_with_the_same_id_and_refusals_are_not(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    receiver = Receiver(ConnectionError("no route"), 503, 429, 200)
    notifier = Notifier(store, recipe(), clock=lambda: NOW, send=receiver, monotonic=Moments())
    with caplog.at_level(logging.WARNING):
        notifier(ticket(), CONVERSATION)
        soon(lambda: len(receiver.came) == 4)
        receiver.statuses = [410]
        notifier(ticket(2), CONVERSATION)
        soon(lambda: "not tried again" in caplog.text)
    notifier.close()
    assert [headers["webhook-id"] for _, _, headers in receiver.came] == ["tkt_1"] * 4 + ["tkt_2"]
    assert "hook.example" in caplog.text
    assert "s3cret" not in caplog.text
    assert "pass" not in caplog.text


def test_tries_end(store: Store) -> None:
    receiver = Receiver(500)
    notifier = Notifier(store, recipe(), clock=lambda: NOW, send=receiver, monotonic=Moments())
    notifier(ticket(), CONVERSATION)
    soon(lambda: len(receiver.came) == TRIES)
    notifier.close()
    assert len(receiver.came) == TRIES


def test_nobody_waits_for_a_receiver_that_hangs_and_too_many_are_dropped(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    hangs, begun = threading.Event(), threading.Event()

    def send(*_: object) -> int:
        begun.set()
        hangs.wait(10)
        return 200

    notifier = Notifier(store, recipe(), clock=lambda: NOW, send=send)
    notifier(ticket(), CONVERSATION)
    assert begun.wait(5)
    start = time.monotonic()
    with caplog.at_level(logging.WARNING):
        for number in range(WAITING + 2):
            notifier(ticket(number), CONVERSATION)
    assert time.monotonic() - start < 2
    assert caplog.text.count("deliveries wait already") == 2
    hangs.set()
    notifier.close()
    notifier(ticket(), CONVERSATION)


def test_a_delivery_that_breaks_ends_nothing(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    receiver = Receiver(RuntimeError(HOOK), 200)
    notifier = Notifier(store, recipe(), clock=lambda: NOW, send=receiver)
    with caplog.at_level(logging.WARNING):
        notifier(ticket(1), CONVERSATION)
        notifier(ticket(2), CONVERSATION)
        soon(lambda: len(receiver.came) == 2)
    notifier.close()
    assert "RuntimeError" in caplog.text
    assert "s3cret" not in caplog.text


def test_alerts_hear_of_tickets_where_they_are_wanted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    apprise = StubApprise()
    monkeypatch.setitem(sys.modules, "apprise", apprise)
    wanted = Notifier(store, recipe(None, "json://host"), clock=lambda: NOW)
    wanted(ticket(), CONVERSATION)
    soon(lambda: bool(apprise.sent))
    wanted.close()
    assert "website: a customer waits for a person (unsure), ticket tkt_1." in apprise.sent[0][2]
    unwanted = Notifier(store, recipe(None, "json://host", on=("release",)), clock=lambda: NOW)
    unwanted(ticket(2), CONVERSATION)
    unwanted.close()
    assert len(apprise.sent) == 1


def test_an_address_that_nobody_answers_is_an_os_error() -> None:
    with pytest.raises(OSError, match="ConnectError"):
        post("http://127.0.0.1:9/hook", b"{}", {})
