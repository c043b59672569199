"""The desk in a server: what customers do, off the event loop, and what they are told without asking.

Each call runs in one of a few threads; the intent's questions ride in the batches of all channels. Who listens
hears within 0.3 s of a message that an agent, or another process, stored: one look at the store serves them all.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import ParamSpec, TypeVar

from structlog.typing import FilteringBoundLogger

from headrace.apps.support.desk import Desk
from headrace.apps.support.outcomes import Begun, Judged, Reply
from headrace.apps.support.ports import Turn
from headrace.errors import HeadraceError, ServerFull
from headrace.project import Project
from headrace.records import Answer, Author, Conversation, Message, Ticket, Verdict
from headrace.web.logs import logger
from headrace.web.ports import Given
from headrace.web.service import Service
from headrace.web.write_lock import locked

P = ParamSpec("P")
T = TypeVar("T")

POLL = 0.2  # seconds between two looks at the store, while anybody listens
THREADS = 8
WAITING = 512  # calls that wait for a thread at most; beyond it 503
OPENED_BY = "Headrace-Secret"
"""The header that carries a conversation's secret."""
_END = object()


class Understanding:
    """The server's own answers, for the threads of a desk: `service` asks its batcher and stores what it says.

    `follow` the event loop before the first question. What a channel's quota or a full queue refuses is raised.
    """

    def __init__(self, project: Project, service: Service) -> None:
        self._project, self._service = project, service
        self._loop: asyncio.AbstractEventLoop | None = None

    def follow(self, loop: asyncio.AbstractEventLoop) -> None:
        """Ask in this loop from now on."""
        self._loop = loop

    def __call__(self, text: str, task: str, channel: str) -> Answer:
        """The answer that serves, stored; raises NotServed, Refused, StoreError."""
        if self._loop is None:
            raise ServerFull("the server is starting.", retry_after=1)
        given: list[Given] = []
        asking = self._service.answer(
            self._project.recipe.channel(channel), task, [text], partial(_keep, given)
        )
        try:
            asyncio.run_coroutine_threadsafe(asking, self._loop).result(self._service.limits.seconds + 1)
        except TimeoutError:
            raise ServerFull("the answer took too long.", retry_after=1) from None
        return given[0].answer


class SupportService:
    """A desk for the routes; `start` in the server's event loop, `stop` at its end."""

    def __init__(
        self,
        desk: Desk,
        *,
        understanding: Understanding | None = None,
        log: FilteringBoundLogger | None = None,
        threads: int = THREADS,
        waiting: int = WAITING,
    ) -> None:
        self.desk, self._understanding, self._log = desk, understanding, log or logger()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="headrace-desk")
        self._room = threading.BoundedSemaphore(waiting + threads)
        self._ears = _Ears(desk, self._log)
        self._resuming: asyncio.Task[int] | None = None

    def start(self) -> None:
        """Answer what a crash left unanswered, beside everything else; asks the running event loop."""
        loop = asyncio.get_running_loop()
        if self._understanding is not None:
            self._understanding.follow(loop)
        self._resuming = loop.create_task(self._resume())

    async def stop(self) -> None:
        """End; calls under way are finished first."""
        if self._resuming is not None:
            self._resuming.cancel()
        self._ears.stop()
        await asyncio.to_thread(self._threads.shutdown)
        await asyncio.to_thread(self.desk.end)

    async def begin(
        self, channel: str, *, language: str = "", person: str | None = None, name: str | None = None
    ) -> Begun:
        """A new conversation, or the first of its `name`; raises NotFound."""
        return await self._in_thread(self.desk.begin, channel, language=language, person=person, name=name)

    async def quote(self, conversation_id: str, turns: Sequence[tuple[Author, str]]) -> None:
        """Store what was said elsewhere before, as context."""
        await self._in_thread(self.desk.quote, conversation_id, turns)

    async def open(self, conversation_id: str, secret: str, *, channel: str) -> Conversation:
        """The conversation that the secret opens; raises NotFound."""
        return await self._in_thread(self.desk.open, conversation_id, secret, channel=channel)

    async def receive(self, conversation_id: str, text: str, *, message_id: str | None = None) -> Message:
        """Store what a customer says; on disk when this returns."""
        return await self._in_thread(self.desk.receive, conversation_id, text, message_id=message_id)

    async def reply(self, message: Message) -> Reply:
        """The reply to a stored message, made once."""
        return await self._in_thread(self.desk.reply, message)

    async def say(self, conversation_id: str, text: str, *, message_id: str | None = None) -> Reply:
        """Store what a customer says, and the reply. Raises InputError, NotFound, ServerFull, StoreError."""
        return await self.reply(await self.receive(conversation_id, text, message_id=message_id))

    async def stream(
        self, conversation_id: str, text: str, *, message_id: str | None = None
    ) -> AsyncIterator[str | Reply]:
        """Like `say`: first the sentences of a writer as they come; the reply comes last.

        Who stops listening does not stop the reply: it is made and stored whole.
        """
        async for part in self.answering(await self.receive(conversation_id, text, message_id=message_id)):
            yield part

    async def answering(self, message: Message) -> AsyncIterator[str | Reply]:
        """What `stream` gives for a message that is stored already."""
        loop, parts = asyncio.get_running_loop(), asyncio.Queue[object]()
        done = loop.create_task(self._in_thread(self._pump, message, loop, parts))
        while (part := await parts.get()) is not _END:
            if isinstance(part, str | Reply):
                yield part
        await done

    async def person_please(self, conversation_id: str, *, contact: str | None = None) -> Ticket:
        """Ask for a person."""
        return await self._in_thread(self.desk.person_please, conversation_id, contact=contact)

    async def judge(
        self,
        message_id: str,
        verdict: Verdict,
        *,
        label: str | None = None,
        text: str | None = None,
        person: str | None = None,
        key: str | None = None,
        conversation: str | None = None,
    ) -> Judged:
        """What a customer says of an answer; in effect on return. Raises NotFound, InputError."""
        return await self._in_thread(
            self.desk.judge,
            message_id,
            verdict,
            label=label,
            text=text,
            person=person,
            key=key,
            conversation=conversation,
        )

    async def since(self, conversation_id: str, after: str | None = None) -> list[Message]:
        """What the customer sees of a conversation, after a message where one is named."""
        return await self._in_thread(self.desk.since, conversation_id, after)

    async def listen(self, conversation_id: str, after: str | None = None) -> AsyncIterator[Message]:
        """Messages as the customer sees them, those that are there and those to come, whoever stores them.

        Never ends by itself; close it where the customer has gone.
        """
        with self._ears.listening(conversation_id) as news:
            while True:
                news.clear()
                for message in await self.since(conversation_id, after):
                    after = message.id
                    yield message
                await news.wait()

    async def _resume(self) -> int:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self.desk.resume)
        except HeadraceError as error:
            # What it did not come to is answered at the next start, or when the customer writes again.
            self._log.warning("messages stay unanswered", error=error.message)
            return 0

    def _pump(self, message: Message, loop: asyncio.AbstractEventLoop, parts: asyncio.Queue[object]) -> None:
        try:
            for part in self.desk.stream(message):
                loop.call_soon_threadsafe(parts.put_nowait, part)
        finally:
            loop.call_soon_threadsafe(parts.put_nowait, _END)

    async def _in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if not self._room.acquire(blocking=False):
            raise ServerFull("too many conversations at once.", retry_after=1)
        call = self._threads.submit(partial(work, *args, **kwargs))
        call.add_done_callback(lambda _: self._room.release())
        return await asyncio.wrap_future(call)


class _Ears:
    """Wakes who listens to a conversation in which something was said; looks at the store only while some do."""

    def __init__(self, desk: Desk, log: FilteringBoundLogger) -> None:
        self._conversations, self._log = desk.project.store.conversations, log
        self._heard: dict[str, set[asyncio.Event]] = {}
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def listening(self, conversation_id: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever something was said there."""
        event = asyncio.Event()
        self._heard.setdefault(conversation_id, set()).add(event)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._look())
        try:
            yield event
        finally:
            self._heard[conversation_id].discard(event)
            if not self._heard[conversation_id]:
                del self._heard[conversation_id]

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _look(self) -> None:
        last: int | None = None
        while self._heard:
            try:
                last, spoken = await asyncio.to_thread(self._conversations.spoken_after, last)
            except HeadraceError as error:
                self._log.warning("listening is late", error=type(error).__name__)
                spoken = []
            # Before the first look anything may have been said.
            names = self._heard if spoken is None else [name for name in spoken if name in self._heard]
            for name in names:
                for event in self._heard[name]:
                    event.set()
            await asyncio.sleep(POLL)


def turn_of(service: Service) -> Turn | None:
    """What a desk holds while it writes, so that it and the server's writer take turns."""
    path = service.limits.write_lock
    return None if path is None else partial(locked, path)


def support_of(project: Project, service: Service) -> SupportService:
    """The desk of a project beside the `service` of its server; not started yet."""
    understanding = Understanding(project, service)
    desk = Desk(
        project, understand=understanding, see=service.sight, learn=service.learn, turn=turn_of(service)
    )
    return SupportService(desk, understanding=understanding, log=service.log)


@asynccontextmanager
async def supporting(project: Project, service: Service) -> AsyncIterator[SupportService]:
    """The desk of a project beside the `service` of its server, for as long as the block runs."""
    support = support_of(project, service)
    support.start()
    try:
        yield support
    finally:
        await support.stop()


def _keep(given: list[Given], found: Sequence[Given]) -> str:
    given.extend(found)
    return ""
