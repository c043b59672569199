"""The desk in a server: listening, streaming, resuming, and no reply lost however often the process is killed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from support_stand import FAQ, PretendGuarantee, PretendWriter, Stand, put

from benchmarks.conversations import killed
from headrace.apps.support.outcomes import Reply
from headrace.errors import ServerFull
from headrace.records import Message
from headrace.web.support import SupportService


def running(stand: Stand, work: Callable[[SupportService], Awaitable[None]]) -> None:
    async def run() -> None:
        support = SupportService(stand.desk)
        support.start()
        try:
            await work(support)
        finally:
            await support.stop()

    asyncio.run(run())


def test_who_listens_hears_an_agent_of_another_process(tmp_path: Path) -> None:
    stand = Stand(tmp_path / "project", PretendGuarantee(2.0, 2.0))
    elsewhere = Stand(tmp_path / "project").desk

    async def work(support: SupportService) -> None:
        begun = await support.begin("shop")
        reply = await support.say(begun.conversation.id, "a key?", message_id="m")
        assert reply.ticket is not None
        heard: list[tuple[float, Message]] = []

        async def listen() -> None:
            async for message in support.listen(begun.conversation.id, begun.greeting.id):
                heard.append((time.monotonic(), message))

        listening = asyncio.create_task(listen())
        await asyncio.sleep(0.6)
        assert [m.author for _, m in heard] == ["customer", "machine"]
        waits = []
        for text in ("It is done.", "Anything else?"):
            ticket = await support.person_please(begun.conversation.id)
            await asyncio.to_thread(elsewhere.answer, ticket.id, "ann", text)
            said = time.monotonic()
            while heard[-1][1].text != text:
                assert time.monotonic() - said < 5
                await asyncio.sleep(0.01)
            waits.append(heard[-1][0] - said)
        assert min(waits) < 0.3
        listening.cancel()

    running(stand, work)


def test_a_written_answer_comes_sentence_by_sentence(tmp_path: Path) -> None:
    stand = Stand(tmp_path / "project", PretendGuarantee(alone=0.2), PretendWriter())
    put(stand.project, "hours", "opening hours", "We open at nine.")
    stand.model.down = True

    async def work(support: SupportService) -> None:
        begun = await support.begin("shop")
        parts = [part async for part in support.stream(begun.conversation.id, "opening hours")]
        assert parts[0] == "Part 0. [1]"
        assert isinstance(parts[-1], Reply)
        assert len(parts) == 2

    running(stand, work)


def test_a_start_answers_what_was_left(tmp_path: Path) -> None:
    stand = Stand(tmp_path / "project")
    left = stand.desk.receive(stand.desk.begin("shop").conversation.id, "a key?")

    async def work(support: SupportService) -> None:
        for _ in range(200):
            if not stand.project.store.conversations.unanswered():
                break
            await asyncio.sleep(0.02)
        assert stand.desk.since(left.conversation, left.id)[0].text == FAQ["create_key"][0]

    running(stand, work)


def test_more_than_fits_is_refused_and_what_was_taken_is_done(tmp_path: Path) -> None:
    stand = Stand(tmp_path / "project")

    async def work(support: SupportService) -> None:
        small = SupportService(stand.desk, threads=1, waiting=2)
        asked = [asyncio.create_task(small.begin("shop")) for _ in range(20)]
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert any(isinstance(one, ServerFull) for one in found)
        assert not isinstance(await small.begin("shop"), Exception)
        await small.stop()

    running(stand, work)


@pytest.mark.parametrize("count", [20])
def test_killed_three_times_nothing_is_lost_and_nothing_said_twice(tmp_path: Path, count: int) -> None:
    counted = killed(tmp_path, conversations=count, kills=3)
    assert counted.kills == 3
    assert (counted.sent, counted.lost, counted.twice, counted.unanswered) == (2 * count, 0, 0, 0)
