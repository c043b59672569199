"""A ticket waits: the owner's webhook is told, and whoever the alerts are for.

The body is signed as https://www.standardwebhooks.com says (HMAC-SHA256 over id, timestamp and body), under the
project's own secret, so that the receiver knows who sent it. A delivery that fails is sent again with the same
id, later and later, at moments that chance spreads. All of it happens in a thread of its own: an answer never
waits for it and never fails by it. What was not told when the process ends is not told; the ticket waits in the
queue anyway. What customers wrote is not sent.
"""

from __future__ import annotations

import base64
import heapq
import json
import logging
import random
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from headrace.channels.messengers.standard import secret_of, signed
from headrace.recipe import Recipe
from headrace.records import Clock, Conversation, Ticket
from headrace.reports.alerts import News, tell
from headrace.store import Store

TRIES = 8
FIRST, LONGEST = 1.0, 300.0
"""Seconds before the second try, and between two tries at most."""
WAITING = 1000
"""Deliveries that wait at most; beyond it the newest is dropped, and the log says so."""
SECONDS = 10.0
AGAIN = (408, 409, 425, 429)
"""Statuses below 500 after which a delivery is tried again."""
_LOG = logging.getLogger(__name__)

Send = Callable[[str, bytes, Mapping[str, str]], int]
"""(address, body, headers) -> the status; raises OSError where none came."""


@dataclass(frozen=True, slots=True, order=True)
class _Delivery:
    due: float
    number: int
    tries: int
    id: str
    body: bytes


class Notifier:
    """Tells of tickets; begun by the first, ended by `close`. Safe from several threads."""

    def __init__(
        self,
        store: Store,
        recipe: Recipe,
        *,
        clock: Clock,
        send: Send | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._recipe, self._clock = recipe, clock
        self._send, self._monotonic, self._draw = send or post, monotonic, draw
        self._key = webhook_key(store) if recipe.support.webhook else b""
        self._waiting: list[_Delivery] = []
        self._news: list[News] = []
        self._changed, self._ended, self._number = threading.Condition(), False, 0
        self._thread: threading.Thread | None = None

    def __call__(self, ticket: Ticket, conversation: Conversation) -> None:
        """Tell of a ticket soon; returns at once."""
        wanted = self._recipe.alerts.to and "ticket" in self._recipe.alerts.on
        with self._changed:
            if self._ended or not (self._recipe.support.webhook or wanted):
                return
            if len(self._waiting) >= WAITING:
                _LOG.warning("ticket %s was not told: %d deliveries wait already", ticket.id, WAITING)
                return
            if self._recipe.support.webhook:
                self._number += 1
                body = _body(ticket, conversation)
                heapq.heappush(self._waiting, _Delivery(self._monotonic(), self._number, 0, ticket.id, body))
            if wanted:
                self._news = [*self._news[-WAITING:], News("ticket", _line(ticket))]
            self._begin()
            self._changed.notify()

    def close(self, seconds: float = 5.0) -> None:
        """End the thread once its delivery is sent, within `seconds`."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(seconds)

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="headrace-notify", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while (work := self._next()) is not None:
            news, delivery = work
            try:
                tell(self._recipe, news)
                if delivery is not None:
                    self._deliver(delivery)
            except Exception as error:  # the thread must outlive whatever one delivery does
                _LOG.warning("a ticket was not told: %s", type(error).__name__)

    def _next(self) -> tuple[list[News], _Delivery | None] | None:
        """What is to be told now; waits for it; None at the end."""
        with self._changed:
            while not self._ended:
                wait = self._waiting[0].due - self._monotonic() if self._waiting else None
                if self._news or (wait is not None and wait <= 0):
                    news, self._news = self._news, []
                    return news, heapq.heappop(self._waiting) if wait is not None and wait <= 0 else None
                self._changed.wait(wait)
        return None

    def _deliver(self, delivery: _Delivery) -> None:
        address = self._recipe.support.webhook or ""
        headers = signed([secret_of(self._key)], delivery.id, self._clock(), delivery.body)
        try:
            status = self._send(address, delivery.body, headers)
            why = f"status {status}"
        except OSError as error:
            status, why = 0, str(error) or type(error).__name__
        if 200 <= status < 300:
            return
        last = delivery.tries + 1 >= TRIES or (300 <= status < 500 and status not in AGAIN)
        if not last:
            self._later(delivery)
        _LOG.warning(
            "the webhook at %s did not take ticket %s: %s%s",
            urlsplit(address).hostname,
            delivery.id,
            why,
            "; not tried again" if last else "",
        )

    def _later(self, delivery: _Delivery) -> None:
        """Try again after twice as long as before, half of it drawn, so that no two tries coincide."""
        longest = min(LONGEST, FIRST * 2**delivery.tries)
        due = self._monotonic() + longest * (0.5 + 0.5 * self._draw())
        with self._changed:
            heapq.heappush(
                self._waiting,
                _Delivery(due, delivery.number, delivery.tries + 1, delivery.id, delivery.body),
            )


def webhook_key(store: Store) -> bytes:
    """The secret under which webhooks are signed, made once."""
    return base64.b64decode(store.salts.get("webhook", base64.b64encode(secrets.token_bytes(32)).decode()))


def webhook_secret(store: Store) -> str:
    """The same as the receiver writes it: whsec_ and base64."""
    return secret_of(webhook_key(store))


def post(address: str, body: bytes, headers: Mapping[str, str]) -> int:
    """POST a delivery; its status. Redirects are not followed: they would carry the signature elsewhere."""
    import httpx2  # a server starts without it

    try:
        with httpx2.Client(timeout=SECONDS, follow_redirects=False, trust_env=False) as client:
            return client.post(address, content=body, headers=dict(headers)).status_code
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise ConnectionError(type(error).__name__) from error


def _body(ticket: Ticket, conversation: Conversation) -> bytes:
    data = {
        "ticket": ticket.id,
        "conversation": conversation.id,
        "channel": ticket.channel,
        "language": conversation.language,
        "reason": ticket.reason,
    }
    said = {"type": "ticket.waiting", "timestamp": ticket.at.isoformat(), "data": data}
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()


def _line(ticket: Ticket) -> str:
    return f"{ticket.channel}: a customer waits for a person ({ticket.reason}), ticket {ticket.id}."
