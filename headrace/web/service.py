"""What the routes call: who asks, may they, what is the answer, what was said of it.

An answer is on disk before it is sent, and feedback before it is acknowledged; a correction counts at once.
The model reads a text as it was sent; what is stored, and what the memory compares, has its private details
masked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import structlog

from headrace.channels.keys import KeyRing
from headrace.channels.quotas import Quotas, Taken
from headrace.errors import HeadraceError, InputError, NotFound, ServerFull, Unauthorized
from headrace.feedback.record import checked
from headrace.records import Answer, Channel, Clock, Feedback, IdMaker, random_id, utc_now
from headrace.serving.engine import Ask, Scored
from headrace.store import Reply, Store
from headrace.web.learner import Learner
from headrace.web.logs import logger
from headrace.web.ports import Given, Mask, Memory, Said, Submits, best
from headrace.web.watch import Watch
from headrace.web.writer import Claim, Entry, Writer

_SCORES = 5
_SHORT = 4_000  # characters that may be masked without holding up other requests


@dataclass(frozen=True, slots=True)
class Limits:
    """`body` bytes of a request and `seconds` that a question may wait for its answer, at most."""

    body: int = 1_000_000
    seconds: float = 30


@dataclass(frozen=True, slots=True)
class Neighbours:
    """What a project hands to its server.

    `channel` raises NotFound; `labels` are those that a task's corrections may name; `ready` says whether
    anything is served; `reload` makes the batcher serve the newest releases.
    """

    store: Store
    channel: Callable[[str], Channel]
    labels: Callable[[str], Sequence[str]]
    batcher: Submits
    memory: Memory
    mask: Mask
    ready: Callable[[], bool]
    reload: Callable[[], None]


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
        self.limits = limits or Limits()
        self.log = log or logger()
        store = neighbours.store
        self._ring = KeyRing(store.keys)
        self._quotas = Quotas(store.usage, self._quota_of, clock=clock)
        self.writer = Writer(store)
        self._learner = Learner(store, neighbours.batcher, neighbours.memory, seconds=self.limits.seconds)
        self._watch = Watch(store, self._learner, neighbours.reload, self.log, clock=clock)

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

    async def authenticate(self, header: str | None) -> Channel:
        """The channel whose key the Authorization header carries; raises Unauthorized."""
        name = self._ring.remembered(header)
        if name is None:
            name = await asyncio.to_thread(self._ring.authenticate, header)
        try:
            return self._with.channel(name)
        except NotFound:
            raise Unauthorized("the key's channel is no longer in the recipe.") from None

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
    ) -> Reply:
        """Answers to `texts`, stored, as `render` writes them; with a `claim` the reply is kept for retries.

        Raises InputError (field `task`), QuotaSpent, ServerFull, NotServed and StoreError; nothing of the
        request counts then.
        """
        task = _task(channel, task)
        taken = self._quotas.take(channel.name, len(texts))
        try:
            given = await self._ask(channel.name, task, texts)
            reply = _reply(claim, render(given))
            entry = Entry(self._clock(), [g.answer for g in given], taken=taken, claim=claim, reply=reply)
            earlier = await asyncio.wrap_future(self.writer.put(entry))
        except BaseException:
            self._quotas.give_back(taken)
            raise
        return self._undo(taken, earlier) if earlier else reply

    async def feedback(
        self, channel: Channel, said: Said, render: Callable[[Feedback], str], claim: Claim | None = None
    ) -> Reply:
        """Feedback on an answer, stored, and in effect when this returns.

        Raises NotFound where the channel has no such answer, InputError naming the field, StoreError.
        """
        answer = await asyncio.to_thread(self._with.store.answers.get, said.answer, channel=channel.name)
        feedback = checked(
            answer,
            said.verdict,
            said.label,
            said.person,
            labels=self._with.labels(answer.task),
            clock=self._clock,
            ids=self._ids,
        )
        reply = _reply(claim, render(feedback))
        entry = Entry(feedback.at, feedback=feedback, claim=claim, reply=reply)
        earlier = await asyncio.wrap_future(self.writer.put(entry))
        if earlier is None and feedback.label is not None:
            await asyncio.to_thread(self._learn, feedback)
        return earlier or reply

    async def keep_failure(self, claim: Claim, body: str) -> None:
        """Keep a 500 as the reply to an idempotency key, so that a retry is not carried out twice."""
        entry = Entry(self._clock(), claim=claim, reply=Reply(claim.digest, 500, body))
        await asyncio.wrap_future(self.writer.put(entry))

    async def _ask(self, channel: str, task: str, texts: Sequence[str]) -> list[Given]:
        futures: list[Future[Scored]] = []
        try:
            futures += (self._with.batcher.submit(Ask(task, channel, text)) for text in texts)
            async with asyncio.timeout(self.limits.seconds):
                scored = await asyncio.gather(*map(asyncio.wrap_future, futures))
        except TimeoutError:
            raise ServerFull("the answer took too long.", retry_after=1) from None
        finally:
            for future in futures:
                future.cancel()
        pairs = list(zip(texts, scored, strict=True))
        if sum(map(len, texts)) <= _SHORT:
            return self._give(channel, task, pairs)
        return await asyncio.to_thread(self._give, channel, task, pairs)

    def _give(self, channel: str, task: str, pairs: Sequence[tuple[str, Scored]]) -> list[Given]:
        return [self._given(channel, task, text, scored) for text, scored in pairs]

    def _given(self, channel: str, task: str, text: str, scored: Scored) -> Given:
        masked, scores = self._with.mask(channel, text), scored.scores
        recalled = self._with.memory.recall(task, channel, masked, scored.embedding, scores)
        label = recalled.label if recalled else scored.label
        answer = Answer(
            id=self._ids("ans"),
            channel=channel,
            task=task,
            text=masked,
            label=label,
            confidence=float(scores.get(label, 0.0)),
            release=scored.release,
            adapter=scored.adapter,
            at=self._clock(),
            because=recalled.feedback_id if recalled else None,
        )
        return Given(answer, best(scores, _SCORES))

    def _learn(self, feedback: Feedback) -> None:
        try:
            self._learner.learn(feedback)
        except HeadraceError as error:
            # It is stored, and the watch comes back to it within a moment.
            self.log.warning("learning is late", feedback=feedback.id, error=type(error).__name__)

    def _undo(self, taken: Taken, earlier: Reply) -> Reply:
        self._quotas.give_back(taken)
        return earlier

    def _quota_of(self, channel: str) -> int | None:
        return self._with.channel(channel).daily_quota


def _task(channel: Channel, task: str | None) -> str:
    known = ", ".join(channel.tasks)
    if task is None and len(channel.tasks) == 1:
        return channel.tasks[0]
    if task is None:
        raise InputError("the channel has several tasks.", field="task", cure=f"Name one: {known}.")
    if task not in channel.tasks:
        raise InputError("the channel has no such task.", field="task", cure=f"It has: {known}.")
    return task


def _reply(claim: Claim | None, body: str) -> Reply:
    return Reply(claim.digest if claim else "", 200, body)
