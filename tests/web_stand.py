"""A server with a pretended engine and memory over a real store, and a client that calls it in process."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from headrace.channels.keys import new_key
from headrace.data.mask import Masker
from headrace.errors import NotFound, NotServed, ServerFull
from headrace.records import Adapter, Channel, IdMaker, Release
from headrace.serving.calls import Call
from headrace.serving.engine import Ask, Scored
from headrace.store import Store
from headrace.web.api import create_app
from headrace.web.logs import logger
from headrace.web.ports import Embedding, Submits
from headrace.web.service import Limits, Neighbours, Service

LABELS = ("greeting", "opening-hours", "price", "refund", "return", "shipping")
CHANNELS = {
    "shop": Channel("shop", ("intent",), "en", daily_quota=None),
    "forum": Channel("forum", ("intent", "mood"), "zh"),
    "partner": Channel("partner", ("intent",), "en", daily_quota=5),
}
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def scored(text: str) -> Scored:
    """The label is drawn by the text's checksum; always the same for the same text."""
    order = np.random.default_rng(zlib.crc32(text.encode())).permutation(len(LABELS))
    chances = np.array((0.5, 0.25, 0.125, 0.0625, 0.05, 0.0125), np.float32)
    labels = tuple(LABELS[i] for i in order)
    return Scored(labels, chances, "rel_1", "adp_1", np.ones(4, np.float32))


class PretendBatcher:
    """Answers at once; `full`, `broken` and `held` make it refuse, fail and keep waiting."""

    def __init__(self) -> None:
        self.full = self.broken = self.held = False
        self.missing: set[tuple[str, str]] = set()
        self.waiting: list[tuple[Ask, Future[Scored]]] = []
        self.asked: list[Ask] = []

    def submit(self, ask: Ask) -> Future[Scored]:
        if self.full:
            raise ServerFull("8 rows wait already.", retry_after=2)
        self.asked.append(ask)
        future: Future[Scored] = Future()
        if self.held:
            self.waiting.append((ask, future))
        else:
            self._answer(ask, future)
        return future

    def post(self, asks: Sequence[Ask], done: Callable[[list[Scored] | Exception], None]) -> Call:
        call = Call(len(asks), done)
        for place, ask in enumerate(asks):
            future = self.submit(ask)
            future.add_done_callback(lambda f, place=place: call.settle(place, f.exception() or f.result()))
        return call

    def let_go(self) -> None:
        self.held = False
        for ask, future in self.waiting:
            if future.set_running_or_notify_cancel():
                self._answer(ask, future)
        self.waiting.clear()

    def _answer(self, ask: Ask, future: Future[Scored]) -> None:
        if (ask.task, ask.channel) in self.missing:
            future.set_exception(NotServed(f"no adapter answers {ask.task!r} for {ask.channel!r} yet."))
        elif self.broken:
            future.set_exception(RuntimeError(f"inner secret at /srv/inner.py about {ask.text}"))
        else:
            future.set_result(scored(ask.text))


@dataclass
class PretendRecalled:
    label: str
    feedback_id: str


@dataclass
class PretendMemory:
    """Recalls a correction for the very same text of the same (task, channel)."""

    known: dict[tuple[str, str, str], PretendRecalled] = field(default_factory=dict)
    learned: list[str] = field(default_factory=list)

    def recall(
        self, task: str, channel: str, text: str, embedding: Embedding, scores: Mapping[str, float], /
    ) -> PretendRecalled | None:
        return self.known.get((task, channel, text))

    def learn(
        self,
        task: str,
        channel: str,
        text: str,
        embedding: Embedding,
        scores: Mapping[str, float],
        label: str,
        feedback_id: str,
        order: tuple[int, int],
        person: str | None,
        sure: bool,
        /,
    ) -> None:
        self.learned.append(feedback_id)
        self.known[task, channel, text] = PretendRecalled(label, feedback_id)

    def forget(self, feedback_id: str, /) -> bool:
        known = [at for at, found in self.known.items() if found.feedback_id == feedback_id]
        for at in known:
            del self.known[at]
        return bool(known)


@dataclass(frozen=True)
class Got:
    """A response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Stand:
    """A server in process. `now` may be moved; `log` is what was logged."""

    def __init__(
        self,
        store: Store,
        *,
        body: int = 100_000,
        seconds: float = 30,
        batcher: Submits | None = None,
        ids: IdMaker | None = None,
    ) -> None:
        self.store, self.now = store, NOON
        self.batcher, self.memory, self.log = PretendBatcher(), PretendMemory(), io.StringIO()
        self.ready, self.reloads, self._submits = True, 0, batcher or self.batcher
        numbers = itertools.count(1)
        self.keys = {name: new_key(store.keys, name, clock=self.clock)[1] for name in CHANNELS}
        self.service = Service(
            self.neighbours(),
            limits=Limits(body, seconds),
            clock=self.clock,
            ids=ids or (lambda kind: f"{kind}_{next(numbers)}"),
            log=logger(self.log),
        )
        self.app = create_app(self.service)
        self.loop = asyncio.new_event_loop()

    def clock(self) -> datetime:
        return self.now

    def neighbours(self) -> Neighbours:
        maskers = {name: Masker(language=channel.language) for name, channel in CHANNELS.items()}
        return Neighbours(
            store=self.store,
            channel=_channel,
            labels=lambda task: LABELS,
            batcher=self._submits,
            memory=self.memory,
            mask=lambda channel, text: maskers[channel].mask(text)[0],
            ready=lambda: self.ready,
            reload=self._reload,
        )

    def _reload(self) -> None:
        self.reloads += 1

    def close(self) -> None:
        self.batcher.let_go()
        self.service.stop()
        self.loop.close()

    def ask(self, text: str = "when do you open?", channel: str = "shop", **more: Any) -> Got:
        return self.post("/v1/predict", {"text": text} | more, channel)

    def post(
        self,
        path: str,
        body: object,
        channel: str = "shop",
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Got:
        got: Got = self.wait(self.send("POST", path, body, self.headers(channel, key, headers)))
        return got

    def headers(
        self, channel: str = "shop", key: str | None = None, more: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        made = {"authorization": f"Bearer {self.keys[channel]}", "content-type": "application/json"}
        if key is not None:
            made["idempotency-key"] = key
        return made | dict(more or {})

    def get(self, path: str) -> Got:
        got: Got = self.wait(self.send("GET", path, b"", {}))
        return got

    def wait(self, coroutine: Any) -> Any:
        return self.loop.run_until_complete(coroutine)

    async def send(
        self,
        method: str,
        path: str,
        body: object,
        headers: Mapping[str, str],
        pieces: Sequence[bytes] | None = None,
    ) -> Got:
        """One request through the ASGI interface; `body` is sent as JSON unless it is bytes."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        pairs = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        return await call(self.app, method, path, pairs, [raw] if pieces is None else pieces)


async def call(
    app: Callable[..., Any],
    method: str,
    path: str,
    headers: Sequence[tuple[bytes, bytes]],
    pieces: Sequence[bytes],
) -> Got:
    """One request to an ASGI application; after the last piece the client waits for the response."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("utf-8", "replace"),
        "query_string": b"",
        "root_path": "",
        "headers": list(headers),
        "server": ("127.0.0.1", 8420),
        "client": ("127.0.0.1", 50_000),
        "state": {},
    }
    left = iter([*[(piece, True) for piece in pieces[:-1]], (pieces[-1] if pieces else b"", False)])
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        piece, more = next(left, (None, False))
        if piece is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": piece, "more_body": more}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    found = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in sent[0]["headers"]}
    return Got(sent[0]["status"], found, b"".join(m.get("body", b"") for m in sent[1:]))


@contextmanager
def standing(store: Store, **settings: Any) -> Iterator[Stand]:
    """A stand whose service runs."""
    stand = Stand(store, **settings)
    stand.service.start()
    try:
        yield stand
    finally:
        stand.close()


def release(store: Store, task: str = "intent", channel: str = "shop", number: int = 1) -> None:
    """Write a release into the store's history, as a turn would."""
    at = NOON + timedelta(minutes=number)
    adapter = Adapter(f"adp_{task}_{number}", task, None, "base", LABELS, {}, {}, 1, 0.1, at)
    store.history.add(adapter, Release(f"rel_{task}_{channel}_{number}", task, channel, adapter.id, at, {}))


def _channel(name: str) -> Channel:
    if name not in CHANNELS:
        raise NotFound(f"there is no channel {name!r}.")
    return CHANNELS[name]
