"""`headrace demo support`: from a help desk's questions to answers under a promise, and persons for the rest."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from headrace.apps.support.guarantee import Standing
from headrace.data.progress import Progress
from headrace.demo import support_rows
from headrace.demo.questions import Question
from headrace.demo.support_day import AGENT, Asked, ask, ask_all, by_decision, check_all, said
from headrace.demo.support_rows import CHANNEL, Material
from headrace.errors import Conflict
from headrace.project import Project
from headrace.web.assembly import assembled
from headrace.web.service import Service
from headrace.web.support import SupportService, supporting

NAMES = {"alone": "answered alone", "ask": "asked back", "person": "handed to a person"}
QUICK = 0.8  # of the questions
FIRST = 0.65  # of the questions come before anything is certified


@dataclass(frozen=True, slots=True)
class Shown:
    """What the demo counted; `later` maps a decision to messages and to those of them that are right."""

    first: int
    checked_right: int
    later: dict[str, tuple[int, int]]
    standing: Standing
    reworded: bool
    seconds: float


def run(
    folder: Path,
    *,
    quick: bool = False,
    data: str | None = None,
    seed: int = 7,
    console: Console | None = None,
    progress: Progress | None = None,
) -> Shown:
    """Build the project in `folder`, let customers ask, and print what became of them; returns what was counted.

    Raises NotFound for an unknown `data`, Conflict where the folder holds another project.
    """
    began, out = time.perf_counter(), console or Console()
    material = support_rows.ours() if data is None else support_rows.named(data, seed=seed)
    out.rule(f"1. A help desk: {folder}", align="left")
    project = _project(folder, material, seed=seed, progress=progress)
    try:
        _learn(out, project, material)
        with assembled(project) as service:
            service.start()
            try:
                shown = asyncio.run(
                    _day(
                        out, project, service, (*_drawn(material, seed, quick=quick), material.lessons), began
                    )
                )
            finally:
                service.stop()
    finally:
        project.close()
    _next(out, folder)
    return shown


def _project(folder: Path, material: Material, *, seed: int, progress: Progress | None) -> Project:
    wanted, path = support_rows.RECIPE.format(seed=seed, channel=CHANNEL), folder / "headrace.yaml"
    if path.exists():
        where = f"the project in {folder} is there already."
        raise Conflict(where, cure="Name an empty folder: headrace demo support --folder DIR")
    Project.init(folder, recipe=wanted).close()
    support_rows.write(material, folder / "data")
    return Project(folder, progress=progress)


def _learn(out: Console, project: Project, material: Material) -> None:
    synced = project.sync_knowledge()
    out.print(f"Its FAQ: {synced.added} curated answers, given word for word.")
    project.collect()
    project.clean()
    turn = project.turn()
    for pair in turn.pairs:
        out.print(f"Trained on {len(material.rows):,} questions. {pair.message}")


def _drawn(material: Material, seed: int, *, quick: bool) -> tuple[list[Question], list[Question]]:
    """The questions that come first, and those that come later."""
    asked = list(material.asked)
    random.Random(seed).shuffle(asked)
    asked = asked[: int(QUICK * len(asked))] if quick else asked
    cut = int(FIRST * len(asked))
    return asked[:cut], asked[cut:]


async def _day(
    out: Console,
    project: Project,
    service: Service,
    questions: tuple[list[Question], list[Question], list[Question]],
    began: float,
) -> Shown:
    first, later, lessons = questions
    async with supporting(project, service) as support:
        out.rule("2. A correction helps a rewording", align="left")
        reworded = await _correct_one(out, support, lessons, service.learn)
        out.rule("3. The first customers: nothing is certified yet", align="left")
        asked = await ask_all(support, first)
        out.print(
            f"{len(asked)} questions, all handed to a person, who also checks what the machine would have said:"
        )
        counted = await asyncio.to_thread(check_all, support.desk, asked)
        out.print(
            f"{counted[True]} right, {counted[False]} wrong, {len(asked) - counted.total()} unanswered."
        )
        _standing(out, support)
        out.rule("4. The next customers", align="left")
        more = await ask_all(support, later)
        table = by_decision(support.desk, more)
        _tell(out, more, table)
        out.rule("5. A person answers what waits", align="left")
        await asyncio.to_thread(_answer_one, out, support, more)
        out.rule("6. The promise, after the person checked what the coin drew", align="left")
        await asyncio.to_thread(check_all, support.desk, more)
        standing = _standing(out, support)
    return Shown(len(first), counted[True], table, standing, reworded, time.perf_counter() - began)


def _standing(out: Console, support: SupportService) -> Standing:
    standing = support.desk.standings(CHANNEL)["intent", CHANNEL]
    if standing.threshold is None:
        needed = (
            "a number that nobody can tell yet"
            if standing.needed is None
            else f"about {standing.needed} more"
        )
        out.print(f"{standing.checked} checks certify nothing at {standing.target:.0%}; needed: {needed}.")
        return standing
    out.print(
        f"{standing.checked} checks: from a score of {standing.threshold:.2f} on, answers are given alone,"
        f" {standing.alone_share:.0%} of messages. Of these at most {standing.target:.0%} are wrong, with"
        f" {standing.confidence:.0%} confidence; {standing.error.value:.1%} of those checked are."
    )
    return standing


def _tell(out: Console, asked: Sequence[Asked], table: dict[str, tuple[int, int]]) -> None:
    for decision, (count, right) in table.items():
        what = "with the right one among the choices" if decision == "ask" else "where the answer is right"
        out.print(f"{NAMES[decision]:>18}: {count:4} of {len(asked)}, {right} {what}")
    for decision in table:
        for chinese in (False, True):
            some = [one for one in asked if one.reply.decision == decision and _is_chinese(one) == chinese]
            if some:
                _show(out, min(some, key=lambda one: len(one.question.text)))


def _is_chinese(one: Asked) -> bool:
    return any("\u4e00" <= letter <= "\u9fff" for letter in one.question.text)


def _show(out: Console, one: Asked) -> None:
    out.print(f"  customer: {one.question.text}", markup=False)
    if one.reply.message is not None:
        out.print(f"  machine ({NAMES[one.reply.decision]}): {one.reply.message.text}", markup=False)
    for choice in one.reply.choices:
        out.print(f"    - {choice.title}", markup=False)


def _answer_one(out: Console, support: SupportService, asked: Sequence[Asked]) -> None:
    """A person takes the oldest ticket of these, sees what may answer, picks it, and the customer sees it."""
    desk, truth = support.desk, {one.message.id: one.question.label for one in asked}
    waiting = next((one for one in desk.queue(CHANNEL) if one.ticket.message in truth), None)
    if waiting is None or waiting.question is None:
        out.print("Nobody waits.")
        return
    desk.take(waiting.ticket.id, AGENT)
    out.print(f"  waits: {waiting.question.text}", markup=False)
    for one in waiting.suggestions[:3]:
        out.print(f"    suggested ({one.chance:.0%}): {one.passage.title}", markup=False)
    label = truth[waiting.question.id]
    passage = desk.curated(CHANNEL, label, waiting.question)
    said = desk.answer(
        waiting.ticket.id,
        AGENT,
        passage=passage.id if passage else None,
        text="" if passage else label,
        intent=label,
    )
    out.print(f"  {AGENT}: {said.text}", markup=False)
    out.print("  The customer sees it without a reload, and it counts as the owner's word from now on.")


async def _correct_one(
    out: Console,
    support: SupportService,
    lessons: Sequence[Question],
    learn: Callable[[Sequence[str]], None],
) -> bool:
    """The owner corrects a wrong answer to a question; whether it is then right for who asks in other words.

    They correct by feedback and check nothing: what was picked because it is wrong is no sample of all messages.
    """
    project = support.desk.project
    for question in lessons:
        reworded = Question(question.rewording or "", question.label)
        one, before = await ask(support, question), await ask(support, reworded)
        answer = _intent_of(support, one)
        if answer is None or _is_right(support, one) or _is_right(support, before):
            continue
        given = await asyncio.to_thread(project.add_feedback, answer, "correction", question.label)
        await asyncio.to_thread(learn, [given.id])
        after = await ask(support, reworded)
        if _is_right(support, after):
            out.print(f"  asked: {question.text}", markup=False)
            out.print(f"  corrected by the owner to: {question.label}", markup=False)
            out.print(f"  asked by somebody else: {reworded.text}", markup=False)
            out.print(f"  before, it would have said: {_said(support, before)}", markup=False)
            out.print(f"  now: {_said(support, after)}", markup=False)
            return True
    out.print("  No correction reached a rewording in this run.")
    return False


def _intent_of(support: SupportService, one: Asked) -> str | None:
    """The id of the answer by intent behind what the machine would have said."""
    proposal = support.desk.proposal(one.message)
    if proposal is None or proposal.answer is None:
        return None
    answer = support.desk.project.store.answers.get(proposal.answer)
    return answer.id if answer.task == support.desk.project.recipe.support.intent else None


def _is_right(support: SupportService, one: Asked) -> bool:
    proposal = support.desk.proposal(one.message)
    return proposal is not None and said(support.desk, proposal) == one.question.label


def _said(support: SupportService, one: Asked) -> str:
    proposal = support.desk.proposal(one.message)
    return proposal.text if proposal else ""


def _next(out: Console, folder: Path) -> None:
    out.rule("What to try next", align="left")
    out.print(f"Ask it yourself:         headrace --project {folder} support ask 怎么新建密钥", markup=False)
    out.print(f"What waits for a person: headrace --project {folder} support tickets", markup=False)
    out.print(f"What the promise rests on: headrace --project {folder} support standing", markup=False)
    out.print(f"In a browser:            headrace --project {folder} console", markup=False)
