"""Webhooks at work: what came in is answered once, what is said goes out, whatever is killed in between.

A delivery is stored before it is acknowledged; here it becomes a message under its own id, so that whoever was
cut off does it again without saying anything twice. What goes out is found in the conversations themselves: each
message that a customer of a webhook is to see becomes a delivery under the message's id, tried at once, then at
the moments that Standard Webhooks recommends, each spread by chance, ten times in all. One process of a project
works at a time; who waits for its lock takes over when it dies.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import orjson
from structlog.typing import FilteringBoundLogger

from headrace import plugins
from headrace.apps.support.desk import Desk
from headrace.channels.messengers import Incoming, Messenger, Outgoing
from headrace.data.fetch import Fetcher
from headrace.errors import AlreadyRunning, HeadraceError, InputError, NotFound
from headrace.recipe.sections import WebhookRecipe
from headrace.records import Conversation, Message
from headrace.store.deliveries import THREAD, Deliveries, Delivery
from headrace.store.lock import only_one

AGAIN = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Seconds between two tries to tell somebody; after the last one it is given up."""
SPREAD = 0.2
"""Share by which chance makes each of them longer or shorter."""
LATER = 5.0
"""Seconds until an answer that could not be given is tried again."""
POLL, IDLE = 0.2, 1.0
THREADS = 8

Post = Callable[[WebhookRecipe, bytes, Mapping[str, str]], int]
"""Sends body and headers to a webhook; its status. Raises InputError where it cannot be told."""


def post(hook: WebhookRecipe, body: bytes, headers: Mapping[str, str]) -> int:
    """Send to an address of the internet, or to a host that the owner allows."""
    return Fetcher(allow=hook.allow).post(hook.url, body, headers)


def messenger_of(hook: WebhookRecipe) -> Messenger:
    """What translates for a webhook; raises NotFound, InputError."""
    options = plugins.options("messengers", hook.messenger)
    found: Messenger = plugins.load("messengers", hook.messenger)(options.model_validate(hook.options))
    return found


class Outbox:
    """Answers what came in and tells what was said; `start` and `stop`, or `step` by step."""

    def __init__(
        self,
        desk: Desk,
        *,
        log: FilteringBoundLogger,
        send: Post = post,
        draw: Callable[[], float] = random.random,
        threads: int = THREADS,
    ) -> None:
        self._desk, self._log, self._send, self._draw = desk, log, send, draw
        self._project = desk.project
        self._deliveries: Deliveries = desk.project.store.deliveries
        self._busy: set[tuple[str, ...]] = set()
        self._stopping, self._lock = threading.Event(), threading.Lock()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="headrace-hook")
        self._thread = threading.Thread(target=self._run, name="headrace-outbox", daemon=True)

    def start(self) -> None:
        """Work in a thread from now on."""
        self._thread.start()

    def stop(self) -> None:
        """End; what is under way is done first."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._pool.shutdown()

    def step(self) -> int:
        """Do at once, one after another, all that is due; how much that was."""
        work = self._due()
        for one, _ in work:
            one()
        return len(work)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                if self._hooks():
                    with only_one(self._project.store.database, self._project.folder, "outbox", "outbox."):
                        self._work()
            except AlreadyRunning:
                # It is asked again whether it still does.
                self._log.debug("webhooks are another process's")
            except HeadraceError as error:
                self._log.warning("webhooks wait", error=error.message)
            self._stopping.wait(IDLE)

    def _work(self) -> None:
        while not self._stopping.is_set() and self._hooks():
            for work, place in self._due():
                self._pool.submit(self._held, work, place)
            self._stopping.wait(POLL)

    def _held(self, work: Callable[[], None], place: tuple[str, ...]) -> None:
        try:
            work()
        except Exception:  # whatever it is, the others go on, and this one is tried again
            self._log.exception("a webhook's delivery failed", place=place[:2])

    def _hooks(self) -> dict[str, WebhookRecipe]:
        found = self._project.recipe.channels.items()
        return {name: channel.webhook for name, channel in found if channel.webhook is not None}

    def _due(self) -> list[tuple[Callable[[], None], tuple[str, ...]]]:
        """What is to be done now and is not under way; of one thread one thing at a time, in order."""
        now, hooks = self._project.clock(), self._hooks()
        new = [
            Delivery(message.id, channel, "out", now, next=now)
            for channel, message in self._deliveries.unsent()
        ]
        self._deliveries.add(new)
        found: list[tuple[Callable[[], None], tuple[str, ...]]] = []
        for one in (*self._deliveries.due("in", now), *self._deliveries.due("out", now)):
            place = (one.direction, one.channel, self._thread_of(one))
            work = self._answer if one.direction == "in" else self._tell
            with self._lock:
                if place not in self._busy and one.channel in hooks:
                    self._busy.add(place)
                    found.append((partial(self._freed, work, one, place), place))
        return found

    def _freed(self, work: Callable[[Delivery], None], one: Delivery, place: tuple[str, ...]) -> None:
        try:
            work(one)
        finally:
            with self._lock:
                self._busy.discard(place)

    def _thread_of(self, one: Delivery) -> str:
        if one.direction == "in":
            return str(orjson.loads(one.body)["thread"])
        try:
            return self._desk.project.store.conversations.message(one.id).conversation
        except NotFound:
            return one.id

    def _answer(self, one: Delivery) -> None:
        """Let the desk answer a delivery; what it says goes out by itself."""
        said = Incoming(**orjson.loads(one.body))
        try:
            where = self._conversation(one.channel, said)
            self._desk.reply(self._desk.receive(where.id, said.text, message_id=f"hook {one.id}"))
        except (NotFound, InputError) as error:
            self._log.warning("a delivery cannot be answered", delivery=one.id, error=error.message)
            self._deliveries.settle(one, "dead", tries=one.tries + 1)
        except HeadraceError as error:
            self._log.warning("a delivery waits", delivery=one.id, error=error.message)
            again = self._project.clock() + timedelta(seconds=LATER)
            self._deliveries.settle(one, "waiting", tries=one.tries + 1, again=again)
        else:
            self._deliveries.settle(one, "done", tries=one.tries)

    def _conversation(self, channel: str, said: Incoming) -> Conversation:
        """The conversation of a thread, begun by its first delivery; its greeting is not sent."""
        name = f"hook {said.thread}"
        begun = self._desk.begin(channel, language=said.language, person=said.person, name=name)
        where, store = begun.conversation, self._project.store
        if not (where.contact or "").startswith(THREAD):
            greeting = Delivery(begun.greeting.id, channel, "out", begun.greeting.at, state="done")
            self._deliveries.add([greeting])
            with store.transaction() as connection:
                store.conversations.set_in(connection, where.id, contact=f"{THREAD}{said.thread}")
        return where

    def _found(self, one: Delivery) -> tuple[Message, Conversation] | None:
        """The message to tell and its conversation; None where it was deleted meanwhile."""
        conversations = self._project.store.conversations
        try:
            message = conversations.message(one.id)
            return message, conversations.get(message.conversation)
        except NotFound:
            return None

    def _tell(self, one: Delivery) -> None:
        """Try to tell what was said; where that fails, again later."""
        hook = self._hooks().get(one.channel)
        secrets = self._deliveries.secrets(one.channel)
        found = self._found(one)
        if hook is None or not secrets or found is None:
            self._deliveries.settle(one, "dead", tries=one.tries)
            return
        message, where = found
        thread = (where.contact or "").removeprefix(THREAD)
        said = Outgoing(one.id, thread, message.at, self._data(message, where))
        body, headers = messenger_of(hook).write(said, secrets, self._project.clock())
        try:
            status = self._send(hook, body, headers)
            why = f"status {status}"
        except InputError as error:
            status, why = 0, error.what
        if 200 <= status < 300:
            self._deliveries.settle(one, "done", tries=one.tries)
        else:
            self._fail(one, why, gone=status == 410)

    def _fail(self, one: Delivery, why: str, *, gone: bool) -> None:
        last = gone or one.tries >= len(AGAIN)
        self._log.warning("a webhook was not told", delivery=one.id, why=why, given_up=last)
        if last:
            self._deliveries.settle(one, "dead", tries=one.tries + 1)
            return
        wait = AGAIN[one.tries] * (1 + SPREAD * (2 * self._draw() - 1))
        again = self._project.clock() + timedelta(seconds=wait)
        self._deliveries.settle(one, "waiting", tries=one.tries + 1, again=again)

    def _data(self, message: Message, where: Conversation) -> dict[str, Any]:
        known = self._project.store.documents.passages_by_id(message.sources)
        sources = [known[name] for name in message.sources if name in known]
        return {
            "conversation": where.id,
            "message": message.id,
            "reply_to": message.reply_to,
            "author": message.author,
            "text": message.text,
            "sources": [
                {"title": p.title, "url": p.url} for p in sources if p.channel in (None, where.channel)
            ],
        }
