"""Conversations: how long a message waits for its answer, and what is left when the server is killed.

Delays: customers of the help desk (`headrace/demo`) write at 50 random moments a second (a Poisson process), each
in a conversation of its own, to the desk in the process of a server; counted from the moment when a message was
due to its stored reply, no language model, intent and words. The share that is not the engine is what of the mean
delay its batches did not take. Kills: 200 conversations of two messages each, at once, the process killed three
times; who got no reply sends the same message again. `--quick` writes for 4 seconds and kills under 20.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.figures import Figure, main
from headrace.apps.support.desk import Desk
from headrace.demo import support_rows
from headrace.project import Project
from headrace.records import Decision
from headrace.web.assembly import assembled
from headrace.web.service import Service
from headrace.web.support import SupportService, Understanding, turn_of

RATE, SECONDS, QUICK_SECONDS = 50.0, 30.0, 4.0
WARM = 50
ANSWERS = {
    "keys": "Run headrace key new.",
    "rollback": "Run headrace rollback.",
    "install": "Run pip install.",
}
WORDS = ("how about keys", "rollback please now", "install it here", "something that nobody knows")
SMALL = """\
name: killed
tasks: {passage: {kind: embed}}
channels: {shop: {tasks: [passage]}}
support: {channels: [shop]}
"""


@dataclass(frozen=True)
class Counted:
    """Messages that were sent, and what the store says of them in the end."""

    sent: int
    kills: int
    lost: int
    twice: int
    unanswered: int


class Sure:
    """Stands in for checks that nobody made: what was found with some chance is answered alone."""

    def decide(self, task: str, channel: str, score: float) -> Decision:
        """Alone from a tenth on."""
        return "alone" if score >= 0.1 else "ask"

    def rate(self, task: str, channel: str) -> float:
        """One in fifty."""
        return 0.02


# -- killed


def killed(folder: Path, *, conversations: int, kills: int) -> Counted:
    """Let customers write two messages each, kill the server `kills` times meanwhile, and count."""
    project = Project.init(folder / "killed", recipe=SMALL)
    for title, text in ANSWERS.items():
        project.publish(project.draft(title, text).id)
    crowd = _Crowd(project.folder, conversations)
    for part in range(1, kills + 1):
        crowd.run(until=part * 2 * conversations // (kills + 1))
    crowd.run(until=2 * conversations)
    store = project.store.conversations
    said = [message for name in crowd.names for message in store.messages(name)]
    there = Counter(m.id for m in said if m.author == "customer")
    replies = Counter(m.reply_to for m in said if m.author == "machine" and m.reply_to)
    sent = list(crowd.stored.values())
    project.close()
    return Counted(
        sent=len(crowd.stored),
        kills=crowd.kills,
        lost=sum(there[one] != 1 for one in sent) + max(0, len(there) - len(set(sent))),
        twice=sum(count > 1 for count in replies.values()),
        unanswered=sum(replies[one] == 0 for one in there),
    )


@dataclass
class _Crowd:
    """Customers who send again what got no reply; `stored` are their messages by what they sent."""

    folder: Path
    count: int
    names: list[str] = field(default_factory=list)
    stored: dict[tuple[str, str], str] = field(default_factory=dict)
    kills: int = 0

    def run(self, until: int) -> None:
        """Start the server, write until so many messages are answered, and kill it where more are to come."""
        command = [sys.executable, "-m", "benchmarks.conversations", "--serve", str(self.folder)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdin is not None
            assert server.stdout is not None
            heard = server.stdout
            if not self.names:
                self._write(server, [{"begin": number} for number in range(self.count)])
                self.names = [json.loads(heard.readline())["conversation"] for _ in range(self.count)]
            asked = [(name, part) for part in ("1", "2") for name in self.names]
            left = [one for one in asked if one not in self.stored]
            texts = itertools.cycle(WORDS)
            says = [{"conversation": name, "id": part, "text": next(texts)} for name, part in left]
            writing = threading.Thread(target=self._write, args=(server, says), daemon=True)
            writing.start()
            while len(self.stored) < until:
                got = json.loads(heard.readline())
                self.stored[got["conversation"], got["id"]] = got["message"]
            if until < len(asked):
                self.kills += 1
                server.kill()
            else:
                server.stdin.close()
            writing.join()

    @staticmethod
    def _write(server: subprocess.Popen[str], lines: Sequence[dict[str, object]]) -> None:
        try:
            for line in lines:
                print(json.dumps(line), file=server.stdin, flush=True)
        except (BrokenPipeError, ValueError):
            return  # it was killed: what it did not read is sent to the next


async def _serve(folder: Path) -> None:
    """Read requests from stdin, one a line, all at once; a line on stdout for each once its reply is stored."""
    project = Project(folder)
    support = SupportService(Desk(project, guarantee=Sure()))
    support.start()
    reader, working = asyncio.StreamReader(), set[asyncio.Task[None]]()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        task = loop.create_task(_one(support, json.loads(line)))
        working.add(task)
        task.add_done_callback(working.discard)
    await asyncio.gather(*working)
    await support.stop()
    project.close()


async def _one(support: SupportService, asked: dict[str, str]) -> None:
    if "begin" in asked:
        begun = await support.begin("shop")
        print(json.dumps({"conversation": begun.conversation.id}), flush=True)
        return
    message = await support.receive(asked["conversation"], asked["text"], message_id=asked["id"])
    await support.reply(message)
    said = {"conversation": asked["conversation"], "id": asked["id"], "message": message.id}
    print(json.dumps(said), flush=True)


# -- delays


def delays(folder: Path, seconds: float) -> Iterator[tuple[str, float, str, int]]:
    """Name, value, unit and number of each figure of the delays."""
    material = support_rows.ours()
    recipe = support_rows.RECIPE.format(seed=7, channel=support_rows.CHANNEL)
    project = Project.init(folder / "desk", recipe=recipe)
    support_rows.write(material, project.folder / "data")
    project.sync_knowledge()
    project.collect()
    project.clean()
    project.turn()
    texts = [question.text for question in material.asked]
    with assembled(project) as service:
        service.start()
        try:
            heard, engine, cpu = asyncio.run(_written(project, service, texts, seconds))
        finally:
            service.stop()
    project.close()
    taken = np.array(heard) * 1000
    yield "message to answer, p50", float(np.percentile(taken, 50)), "ms", len(taken)
    yield "message to answer, p99", float(np.percentile(taken, 99)), "ms", len(taken)
    yield "message to answer, mean", float(taken.mean()), "ms", len(taken)
    yield "cpu of a message, engine and customers included", 1000 * cpu, "ms", len(taken)
    yield "of the mean in the engine's batches", 1000 * engine, "ms", len(taken)
    yield "share that is not the engine", 100 * (1 - 1000 * engine / float(taken.mean())), "%", len(taken)


async def _written(
    project: Project, service: Service, texts: Sequence[str], seconds: float
) -> tuple[list[float], float, float]:
    """Seconds from due to reply of each message; the mean seconds of a row's batch, and of cpu a message."""
    understanding = Understanding(project, service)
    turn = turn_of(service)
    desk = Desk(project, understand=understanding, guarantee=Sure(), see=service.sight, turn=turn)
    support = SupportService(desk, understanding=understanding)
    support.start()
    names = itertools.cycle(texts)
    for _ in range(WARM):
        await _asked(support, next(names), time.perf_counter())
    batches, used = len(service.recent), time.process_time()
    gaps = np.random.default_rng(7).exponential(1 / RATE, int(RATE * seconds))
    due = time.perf_counter() + np.cumsum(gaps)
    asked = []
    for moment in due.tolist():
        await asyncio.sleep(max(0.0, moment - time.perf_counter()))
        asked.append(asyncio.create_task(_asked(support, next(names), moment)))
    heard = await asyncio.gather(*asked)
    cpu = (time.process_time() - used) / max(1, len(heard))
    await support.stop()
    rows = np.array(list(service.recent)[batches:] or list(service.recent))
    return list(heard), float(np.average(rows[:, 1], weights=rows[:, 0])), cpu


async def _asked(support: SupportService, text: str, due: float) -> float:
    begun = await support.begin(support_rows.CHANNEL)
    await support.say(begun.conversation.id, text)
    return time.perf_counter() - due


def measure(options: argparse.Namespace, command: str) -> list[Figure]:
    """All figures of conversations."""
    found = []
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        seconds = QUICK_SECONDS if options.quick else SECONDS
        found += [
            Figure(f"{what} at {RATE:.0f} messages a second", round(value, 2), unit, n=n, command=command)
            for what, value, unit, n in delays(Path(name), seconds)
        ]
        counted = killed(Path(name), conversations=20 if options.quick else 200, kills=3)
    for what, count in (
        ("lost", counted.lost),
        ("answered twice", counted.twice),
        ("unanswered", counted.unanswered),
    ):
        text = f"messages {what}, the server killed {counted.kills} times"
        found.append(Figure(text, count, "", n=counted.sent, target="0", holds=count == 0, command=command))
    return found


def arguments(parser: argparse.ArgumentParser) -> None:
    """Where its projects stand meanwhile."""
    parser.add_argument(
        "--folder", type=Path, default=None, help="for the projects; a temporary one by default"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        asyncio.run(_serve(Path(sys.argv[2])))
        os._exit(0)
    sys.exit(main("conversations", measure, arguments))
