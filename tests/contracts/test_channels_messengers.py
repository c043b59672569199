"""Messengers and the way of a webhook: the standard's own library on both ends, stored before acknowledged."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hook_stand import Told, hooked, put, receiver
from standardwebhooks import Webhook
from support_stand import Stand

from headrace import plugins
from headrace.channels.messengers import Outgoing
from headrace.channels.messengers.standard import TOLERANCE, Part, secret_of
from headrace.errors import Conflict, InputError, Unauthorized
from headrace.recipe.sections import WebhookRecipe
from headrace.records import utc_now
from headrace.web.assembly import assembled
from headrace.web.customers import Customers
from headrace.web.logs import logger
from headrace.web.outbox import AGAIN, Outbox, post
from headrace.web.server import background
from headrace.web.support import SupportService

OLD, NEW = secret_of(b"o" * 32), secret_of(b"n" * 32)
NOW = datetime.now(UTC)
BODY = json.dumps(
    {"type": "message.received", "data": {"thread": "t1", "text": "How do I roll back?", "person": "ann"}}
).encode()


def by_the_library(
    secret: str, body: bytes = BODY, name: str = "dlv_1", at: datetime = NOW
) -> dict[str, str]:
    return {
        "webhook-id": name,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(name, at, body.decode()),
        "content-type": "application/json",
    }


def test_every_messenger_reads_what_it_was_sent_and_signs_what_it_writes() -> None:
    for name in plugins.names("messengers"):
        part = plugins.load("messengers", name)(plugins.options("messengers", name)())
        assert callable(part.read)
        assert callable(part.write)


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_what_the_library_signs_is_read_under_either_secret(secret: str) -> None:
    said = Part().read(by_the_library(secret), BODY, [NEW, OLD], NOW)
    assert (said.id, said.thread, said.text, said.person) == ("dlv_1", "t1", "How do I roll back?", "ann")


def test_what_is_written_the_library_verifies_under_both_secrets() -> None:
    body, headers = Part().write(Outgoing("msg_1", "t1", NOW, {"text": "你好"}), [NEW, OLD], utc_now())
    for secret in (OLD, NEW):
        event: Any = Webhook(secret).verify(body.decode(), dict(headers))
        assert (event["type"], event["data"]) == ("message.sent", {"thread": "t1", "text": "你好"})


@pytest.mark.parametrize(
    "wrong",
    [
        lambda h: h | {"webhook-signature": by_the_library(secret_of(b"x" * 32))["webhook-signature"]},
        lambda h: h | {"webhook-id": "another"},
        lambda h: h | {"webhook-timestamp": str(int(NOW.timestamp()) + 1)},
        lambda h: by_the_library(NEW, at=NOW - timedelta(seconds=TOLERANCE + 2)),
        lambda h: by_the_library(NEW, at=NOW + timedelta(seconds=TOLERANCE + 2)),
        lambda h: {},
        lambda h: h | {"webhook-timestamp": "now"},
        lambda h: h | {"webhook-signature": "v2," + base64.b64encode(b"x").decode()},
    ],
)
def test_a_forged_stale_or_changed_delivery_is_refused(wrong: Callable[[Any], Mapping[str, str]]) -> None:
    with pytest.raises(Unauthorized):
        Part().read(wrong(by_the_library(NEW)), BODY, [NEW, OLD], NOW)
    with pytest.raises(Unauthorized):
        Part().read(by_the_library(NEW), BODY + b" ", [NEW, OLD], NOW)


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"type": "message.received", "data": {"thread": "t", "text": " "}}']
)
def test_a_signed_body_that_says_nothing_is_refused(body: bytes) -> None:
    with pytest.raises(InputError):
        Part().read(by_the_library(NEW, body), body, [NEW], NOW)


def test_the_address_told_is_one_of_the_internet_or_allowed() -> None:
    for url in ("http://127.0.0.1:9/x", "http://169.254.169.254/", "http://[::1]/"):
        with pytest.raises(InputError, match="within a network"):
            post(WebhookRecipe(url=url), b"{}", {})
    with pytest.raises(InputError, match="within a network"):
        post(WebhookRecipe(url="http://169.254.169.254/", allow=("169.254.169.254",)), b"{}", {})


@contextmanager
def serving(stand: Stand) -> Iterator[str]:
    with assembled(stand.project) as service:
        customers = Customers(service, SupportService(stand.desk))
        with background(service, parts=[customers]) as url:
            yield url


def test_a_delivery_is_stored_acknowledged_answered_and_told_once(tmp_path: Path) -> None:
    came: list[tuple[bytes, dict[str, str]]] = []
    with receiver(came) as address:
        stand = hooked(tmp_path / "p", address)
        stand.clock.now = utc_now()
        with serving(stand) as url:
            for _ in range(3):
                mine = by_the_library(NEW, at=utc_now())
                sent = httpx2.post(f"{url}/v1/hooks/partner", content=BODY, headers=mine)
                assert sent.status_code == 202
            assert sent.json() == {"accepted": True, "new": False}
            end = time.monotonic() + 15
            while not came and time.monotonic() < end:
                time.sleep(0.05)
            theirs = by_the_library(OLD, at=utc_now())
            forged = httpx2.post(f"{url}/v1/hooks/partner", content=BODY, headers=theirs)
            other = httpx2.post(f"{url}/v1/hooks/shop", content=BODY, headers=mine)
        assert (forged.status_code, other.status_code) == (401, 404)
    (one,) = came
    event: Any = Webhook(NEW).verify(one[0].decode(), one[1])
    assert event["data"]["text"] == "Run headrace rollback."
    assert event["data"]["thread"] == "t1"
    assert stand.project.deliveries("partner", "waiting") == []
    assert all(not row.body for row in stand.project.deliveries())
    stand.project.close()


def test_a_receiver_that_is_down_is_told_again_under_the_same_id_then_given_up(tmp_path: Path) -> None:
    stand, told = hooked(tmp_path / "p"), Told(500)
    outbox = Outbox(stand.desk, log=logger(), send=told, draw=lambda: 0.5)
    put(stand)
    outbox.step()
    outbox.step()
    for seconds in AGAIN:
        assert outbox.step() == 0
        stand.clock.later(seconds)
        assert outbox.step() == 1
    assert len(told.came) == 1 + len(AGAIN)
    assert len({name for name, _ in told.came}) == 1
    (dead,) = stand.project.deliveries("partner", "dead")
    stand.clock.later(10**6)
    assert outbox.step() == 0
    told.statuses = [200]
    assert stand.project.deliver_again("partner") == 1
    assert outbox.step() == 1
    assert told.came[-1][0] == dead.id
    outbox.stop()
    stand.project.close()


def test_what_an_agent_answers_later_is_told_too(tmp_path: Path) -> None:
    stand, told = hooked(tmp_path / "p"), Told(200)
    stand.guarantee.alone = stand.guarantee.ask = 2.0
    outbox = Outbox(stand.desk, log=logger(), send=told)
    put(stand)
    outbox.step()
    (ticket,) = stand.told
    stand.desk.take(ticket.id, "olga")
    stand.desk.answer(ticket.id, "olga", "Like this.")
    for _ in range(3):
        outbox.step()
    assert [event["data"]["author"] for _, event in told.came] == ["machine", "agent"]
    assert told.came[-1][1]["data"]["text"] == "Like this."
    assert told.came[-1][1]["data"]["thread"] == "t1"
    outbox.stop()
    stand.project.close()


def test_secrets_are_changed_two_at_a_time(tmp_path: Path) -> None:
    stand = hooked(tmp_path / "p")
    first = stand.project.webhook_secrets("partner")
    both = stand.project.webhook_secrets("partner", rotate=True)
    assert both[1:] == first
    with pytest.raises(Conflict, match="--retire"):
        stand.project.webhook_secrets("partner", rotate=True)
    assert stand.project.webhook_secrets("partner", retire=True) == both[:1]
    stand.project.close()
