"""What the routes call: who asks, may they, what is the answer, what was said of it.

An answer is on disk before it is sent, and feedback before it is acknowledged; a correction counts at once.
The model reads a text as it was sent; what is stored, and what the memory compares, has its private details
masked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog
from sqlalchemy import Connection

from headrace.channels.keys import KeyRing
from headrace.channels.quotas import Left, Quotas, Taken
from headrace.errors import HeadraceError, InputError, NotFound, ServerFull, Unauthorized
from headrace.feedback.record import checked, pseudonym
from headrace.feedback.regions import Place, Regions
from headrace.feedback.trust import Ruling, Sight, rule
from headrace.recipe import TrustRecipe
from headrace.records import Channel, Clock, Feedback, IdMaker, random_id, utc_now
from headrace.serving.engine import Ask, Scored
from headrace.store import Reply, Store
from headrace.web.answering import Question, entry_of, reply_to
from headrace.web.learner import Learner
from headrace.web.logs import logger
from headrace.web.ports import Given, Mask, Memory, Said, Submits, Waits
from headrace.web.watch import Watch
from headrace.web.write_lock import locked
from headrace.web.writer import Claim, Entry, Kept, Writer, tell

T = TypeVar("T")
_SHORT = 4_000  # characters that may be masked without holding up other requests


@dataclass(frozen=True, slots=True)
class Limits:
    """`body` bytes of a request and `seconds` that a question may wait for its answer, at most.

    `acknowledge_first` sends answers before they are stored; `write_lock` is the file by which the
    processes that share a store take turns to write.
    """

    body: int = 1_000_000
    seconds: float = 30
    acknowledge_first: bool = False
    write_lock: Path | None = None


@dataclass(frozen=True, slots=True)
class Neighbours:
    """What a project hands to its server.

    `channel` raises NotFound; `labels` are those that a task's corrections may name; `ready` says whether
    anything is served; `reload` makes the batcher serve the newest releases; `recent` gives rows and seconds
    of its last batches; `look` reads the recipe where it changed, and never in the thread of the requests.
    `step` lets trials take their steps. `trust` says how much of what users say counts, `regions` how near is
    near in a task.
    """

    store: Store
    channel: Callable[[str], Channel]
    labels: Callable[[str], Sequence[str]]
    batcher: Submits
    memory: Memory
    mask: Mask
    ready: Callable[[], bool]
    reload: Callable[[], None]
    recent: Callable[[], Sequence[tuple[int, float]]] = tuple
    look: Callable[[], None] = lambda: None
    step: Callable[[], None] = lambda: None
    trust: Callable[[], TrustRecipe] = TrustRecipe
    regions: Callable[[str, int], Regions] = lambda task, width: Regions()


class Service:
    """Answers and feedback of all channels; `start` before the first request, `stop` after the last."""

    def __init__(
        self,
        neighbours: Neighbours,
        *,
        limits: Limits | None = None,
        clock: Clock = utc_now,
        ids: IdMaker = random_id,
        log: structlog.typing.FilteringBoundLogger | None = None,
    ) -> None:
        self._with, self._clock, self._ids = neighbours, clock, ids
        self._salt = neighbours.store.salts.persons(ids)
        self.limits = limits or Limits()
        self.log = log or logger()
        store = neighbours.store
        self._ring = KeyRing(store.keys)
        self._quotas = Quotas(store.usage, self._quota_of, clock=clock)
        self.writer = Writer(
            store,
            acknowledge_first=self.limits.acknowledge_first,
            write_lock=partial(locked, self.limits.write_lock) if self.limits.write_lock else nullcontext,
            heard=self._quotas.shared,
            log=self.log,
        )
        self._learner = Learner(store, neighbours.batcher, neighbours.memory, seconds=self.limits.seconds)
        self._watch = Watch(
            store,
            self._learner,
            self._ring,
            neighbours.reload,
            self.log,
            clock=clock,
            recipe=neighbours.look,
            step=neighbours.step,
        )

    def start(self) -> None:
        """Load what serves and what was corrected, then watch for more."""
        self._watch.start()

    def stop(self) -> None:
        """End the threads; what was accepted is stored first."""
        self._watch.stop()
        self.writer.stop()

    @property
    def alive(self) -> bool:
        """Whether answers can be stored at all."""
        return self.writer.alive

    @property
    def ready(self) -> bool:
        """Whether anything is served yet."""
        return self._with.ready()

    @property
    def recent(self) -> Sequence[tuple[int, float]]:
        """Rows and seconds of each of the last batches."""
        return self._with.recent()

    def remembered(self, header: str | None) -> Channel | None:
        """The channel of a key that is known without asking the store; raises Unauthorized."""
        name = self._ring.remembered(header)
        return None if name is None else self._channel(name)

    async def authenticate(self, header: str | None) -> Channel:
        """The channel whose key the Authorization header carries; raises Unauthorized."""
        known = self.remembered(header)
        if known is not None:
            return known
        return await asyncio.to_thread(self._authenticated, header)

    def _authenticated(self, header: str | None) -> Channel:
        """In a thread of its own: ask the store for the key, and the recipe for a channel that is new."""
        name = self._ring.authenticate(header)
        try:
            return self._with.channel(name)
        except NotFound:
            self._with.look()
        return self._channel(name)

    async def key_of(self, header: str | None) -> str:
        """The id of the key that the Authorization header carries; raises Unauthorized."""
        return await asyncio.to_thread(self._ring.key_of, header)

    def _channel(self, name: str) -> Channel:
        try:
            return self._with.channel(name)
        except NotFound:
            raise Unauthorized("the key's channel is no longer in the recipe.") from None

    def check_quota(self, channel: str) -> None:
        """Raise QuotaSpent where the channel may ask nothing more now; nothing is taken."""
        self._quotas.give_back(self._quotas.take(channel, 1))

    def left(self, channel: str) -> Left | None:
        """What is left of a channel's quota of today; None where it has no limit."""
        return self._quotas.left(channel)

    async def charged(self, channel: str, questions: int, work: Callable[[], T]) -> T:
        """What `work` gives, in a thread of its own, counted as so many questions of the channel.

        Raises QuotaSpent, StoreError; nothing counts then, nor where `work` raises.
        """
        taken = self._quotas.take(channel, questions)
        try:
            found = await asyncio.to_thread(work)
            await asyncio.wrap_future(
                self.writer.put(Entry(self._clock(), reply=Reply("", 200, ""), taken=taken))
            )
        except BaseException:
            self._quotas.give_back(taken)
            raise
        return found

    async def earlier(self, channel: str, key: str) -> Reply | None:
        """The first reply to an idempotency key."""
        return await asyncio.to_thread(self._with.store.replies.find, channel, key)

    async def answer(
        self,
        channel: Channel,
        task: str | None,
        texts: Sequence[str],
        render: Callable[[Sequence[Given]], str],
        claim: Claim | None = None,
        *,
        person: str | None = None,
    ) -> Reply:
        """Answers to `texts`, stored, as `render` writes them; with a `claim` the reply is kept for retries.

        `person` names the end user who asks, by an id of the channel's; a pseudonym of it is stored.
        Raises InputError (field `task`), QuotaSpent, ServerFull, NotServed and StoreError; nothing of the
        request counts then.
        """
        if is_long(texts):
            masked = await asyncio.to_thread(self._masked, channel.name, texts)
        else:
            masked = self._masked(channel.name, texts)
        return (await self._ask(channel, task, texts, masked, render, claim, person)).reply

    def ask_now(
        self,
        channel: Channel,
        task: str | None,
        text: str,
        render: Callable[[Sequence[Given]], str],
        person: str | None = None,
    ) -> asyncio.Future[Kept]:
        """Like `answer` for one text that is not long, without a coroutine; raises what can be said at once."""
        return self._ask(channel, task, [text], None, render, None, person)

    async def feedback(
        self,
        channel: Channel,
        said: Said,
        render: Callable[[Feedback], str],
        claim: Claim | None = None,
        *,
        key: str,
    ) -> Reply:
        """Feedback on an answer, through the key of that id, stored and, where it counts, in effect on return.

        Raises NotFound where the channel has no such answer, InputError naming the field, StoreError.
        """
        answer = await asyncio.to_thread(self._with.store.answers.get, said.answer, channel=channel.name)
        feedback = checked(
            answer,
            said.verdict,
            said.label,
            said.person,
            labels=self._with.labels(answer.task),
            salt=self._salt,
            key=key,
            clock=self._clock,
            ids=self._ids,
        )
        sight = Sight() if feedback.label is None else await asyncio.to_thread(self.sight, feedback)

        def decide(connection: Connection) -> tuple[Ruling, Reply]:
            ruling = rule(self._with.store, connection, feedback, self._with.trust(), sight)
            return ruling, reply_to(claim, render(ruling.feedback))

        reply = reply_to(claim, "")
        entry = Entry(feedback.at, feedback=feedback, decide=decide, claim=claim, reply=reply)
        kept = await asyncio.wrap_future(self.writer.put(entry))
        if kept.ruling is not None and feedback.label is not None:
            await asyncio.to_thread(self.learn, [feedback.id, *kept.ruling.agreed])
        return kept.reply

    async def keep(self, claim: Claim | None, status: int, body: str) -> Reply:
        """Keep a reply to an idempotency key, so that a retry is not carried out twice; the first one counts."""
        reply = Reply(claim.digest if claim else "", status, body)
        if claim is None:
            return reply
        entry = Entry(self._clock(), claim=claim, reply=reply)
        return (await asyncio.wrap_future(self.writer.put(entry))).reply

    def _masked(self, channel: str, texts: Sequence[str]) -> list[str]:
        return [self._with.mask(channel, text) for text in texts]

    def _ask(
        self,
        channel: Channel,
        task: str | None,
        texts: Sequence[str],
        masked: Sequence[str] | None,
        render: Callable[[Sequence[Given]], str],
        claim: Claim | None,
        person: str | None,
    ) -> asyncio.Future[Kept]:
        """Ask the batcher, whose thread hands the answers to the writer, which ends our future.

        Texts that are not `masked` yet are, once the quota allows them: a refusal costs no more than it must.
        """
        loop = asyncio.get_running_loop()
        task = _task(channel, task)
        taken = self._quotas.take(channel.name, len(texts))
        future: asyncio.Future[Kept] = loop.create_future()
        try:
            masked = self._masked(channel.name, texts) if masked is None else masked
            who = None if person is None else pseudonym(person, self._salt)
            ids = [self._ids("ans") for _ in texts]
            question = Question(channel.name, task, masked, ids, who, taken, claim, render)
            asks = [
                Ask(task, channel.name, text, who or stored, name)
                for text, stored, name in zip(texts, masked, ids, strict=True)
            ]
            call = self._with.batcher.post(asks, partial(self._scored, question, future))
        except BaseException:
            self._quotas.give_back(taken)
            raise
        late = loop.call_later(self.limits.seconds, _give_up, call, future)
        future.add_done_callback(partial(self._ended, taken, call, late))
        return future

    def _ended(
        self, taken: Taken, call: Waits, late: asyncio.TimerHandle, future: asyncio.Future[Kept]
    ) -> None:
        """Give back what was taken where nothing was stored for it."""
        late.cancel()
        if future.cancelled() or future.exception() is not None:
            call.cancel()
            self._quotas.give_back(taken)
        elif not future.result().first:
            self._quotas.give_back(taken)

    def _scored(
        self, question: Question, future: asyncio.Future[Kept], found: list[Scored] | Exception
    ) -> None:
        """In the batcher's thread: no more than to pass it on."""
        if isinstance(found, Exception):
            tell([(future, found)])
            return
        try:
            self.writer.give(partial(entry_of, question, found, self._with.memory, self._clock), future)
        except ServerFull as error:
            tell([(future, error)])

    def sight(self, feedback: Feedback) -> Sight:
        """How what serves sees a correction's text; from another thread than the event loop's."""
        try:
            scored = self._learner.look(feedback)
        except Exception:  # whatever it is, no verdict is lost for it
            self.log.exception("feedback is judged unseen", feedback=feedback.id)
            return Sight()
        if scored is None:
            return Sight()
        regions = self._with.regions(feedback.task, len(scored.embedding))
        chance = scored.chance(feedback.label or "")
        return Sight(Place.of(scored.adapter, scored.embedding), regions, chance)

    def learn(self, ids: Sequence[str]) -> None:
        """Let corrections count at once, as far as the store says they count; from another thread, too."""
        try:
            self._learner.learn(ids)
        except HeadraceError as error:
            # It is stored, and the watch comes back to it within a moment.
            self.log.warning("learning is late", feedback=ids[0], error=type(error).__name__)

    def _quota_of(self, channel: str) -> int | None:
        return self._with.channel(channel).daily_quota


def is_long(texts: Sequence[str]) -> bool:
    """Whether texts may take so long to mask that other requests would feel it."""
    return sum(map(len, texts)) > _SHORT


def _task(channel: Channel, task: str | None) -> str:
    known = ", ".join(channel.tasks)
    if task is None and len(channel.tasks) == 1:
        return channel.tasks[0]
    if task is None:
        raise InputError("the channel has several tasks.", field="task", cure=f"Name one: {known}.")
    if task not in channel.tasks:
        raise InputError("the channel has no such task.", field="task", cure=f"It has: {known}.")
    return task


def _give_up(call: Waits, future: asyncio.Future[Kept]) -> None:
    """Let a question that waited too long be dropped; one that was answered is on its way to the disk."""
    if call.cancel() and not future.done():
        future.set_exception(ServerFull("the answer took too long.", retry_after=1))
