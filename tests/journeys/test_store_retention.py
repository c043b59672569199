"""What a person said, or what is too old, is in no byte of the database any more; the rest stays."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from forget_stand import hits
from support_stand import RECIPE, Stand, fill
from typer.testing import CliRunner

from headrace.cli.app import app
from headrace.errors import NotFound
from headrace.feedback.record import pseudonym
from headrace.project import Project
from headrace.recipe import RetentionRecipe
from headrace.records import Answer, Feedback, Message
from headrace.store.retention import expire
from headrace.web.logs import logger
from headrace.web.retaining import Retaining

KEEP = "retention: {answers: 30, conversations: 30, quarantine: 30}\n"


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    folder = tmp_path / "p"
    Project.init(folder, recipe=RECIPE + KEEP).close()
    made = Stand(folder)
    fill(made.project)
    yield made
    made.project.close()


def talk(stand: Stand, word: str, person: str | None = None) -> list[Message]:
    """A conversation that ends in an answer of the machine's, and one that a person closed."""
    said = []
    for alone, text in ((0.8, f"how to roll back {word}"), (2.0, f"my key is {word}")):
        stand.guarantee.alone = stand.guarantee.ask = alone
        begun = stand.desk.begin("shop", person=person)
        message = stand.desk.receive(begun.conversation.id, text)
        reply = stand.desk.reply(message)
        said.append(message)
        if reply.ticket is not None:
            stand.desk.take(reply.ticket.id, "olga")
            stand.desk.answer(reply.ticket.id, "olga", f"Dear {word}!")
            stand.desk.close(reply.ticket.id, "olga")
    return said


def tables(stand: Stand, *names: str) -> dict[str, int]:
    with stand.project.store.database.read() as connection:
        count = "SELECT count(*) FROM {}"
        return {name: connection.exec_driver_sql(count.format(name)).scalar_one() for name in names}


NAMES = ("conversations", "messages", "tickets", "searches", "answers")


def test_what_a_person_said_is_nowhere_any_more_and_what_others_said_is(stand: Stand) -> None:
    others = talk(stand, "quokka", "ann")
    before = tables(stand, *NAMES)
    mine = talk(stand, "axolotl", "bob")
    answer = stand.project.store.conversations.messages(mine[0].conversation)[-1]
    stand.desk.judge(answer.id, "correction", label="quota", text=None, person="bob")
    stand.desk.judge(answer.id, "correction", text="the axolotl way", person="bob")
    names = [pseudonym("bob", stand.project.store.salts.persons(stand.project.ids))]
    assert hits(stand.folder, ["axolotl", *names])
    done = stand.project.forget("bob")
    assert done.deleted["conversations"] == 2
    assert not hits(stand.folder, ["axolotl", *names, *(m.id for m in mine)])
    assert tables(stand, *NAMES) == before
    assert stand.project.store.conversations.message(others[0].id) == others[0]
    assert stand.project.verify_history()
    with pytest.raises(NotFound):
        stand.project.forget("bob")


def test_drafts_of_a_persons_words_go_however_they_were_spaced_and_masked(stand: Stand) -> None:
    stand.guarantee.alone = stand.guarantee.ask = 2.0
    for number, end in enumerate(("?", " please?")):
        begun = stand.desk.begin("shop", person="bob")
        said = f"  how does my\n\n axolotl,  axo@lotl.example,\troll{end}"
        ticket = stand.desk.reply(stand.desk.receive(begun.conversation.id, said)).ticket
        assert ticket is not None
        stand.desk.answer(ticket.id, "olga", f"Dear bearer {number}!", draft=True)
    kept, published = sorted(stand.project.documents(state="draft"), key=lambda draft: len(draft.title))
    assert kept.title == "how does my axolotl, <email>, roll?"
    stand.project.publish(published.id)
    stand.project.forget("bob")
    assert [one.id for one in stand.project.documents() if "axolotl" in one.title] == [published.id]
    assert not hits(stand.folder, ["bearer 0"])


@pytest.mark.parametrize("task", ["search", "passage"])
def test_who_corrected_a_search_is_forgotten_too(stand: Stand, task: str) -> None:
    person = pseudonym("bob", stand.project.store.salts.persons(stand.project.ids))
    answer = Answer("ans_s", "shop", task, "find axolotl", "pas_quota_en", 0.5, "", "", stand.clock())
    at, label = stand.clock(), "pas_install_en"
    said = Feedback("fbk_s", "ans_s", "shop", task, "find axolotl", "correction", label, at, person)
    with stand.project.store.transaction() as connection:
        stand.project.store.answers.add_in(connection, [answer])
        stand.project.store.feedback.add_in(connection, said)
    stand.project.forget("bob")
    assert not hits(stand.folder, ["axolotl", person, "fbk_s"])


def test_a_pseudonym_names_who_only_wrote(stand: Stand) -> None:
    talk(stand, "axolotl", "bob")
    name = pseudonym("bob", stand.project.store.salts.persons(stand.project.ids))
    assert stand.project.forget(name).deleted["conversations"] == 2
    assert not hits(stand.folder, ["axolotl", name])


def test_what_is_too_old_goes_and_what_waits_or_is_young_stays(stand: Stand) -> None:
    talk(stand, "axolotl")
    stand.guarantee.alone = stand.guarantee.ask = 2.0
    waits = stand.desk.begin("shop").conversation
    stand.desk.reply(stand.desk.receive(waits.id, "my key is wombat"))
    stand.clock.later(31 * 86_400)
    young = talk(stand, "quokka")
    counted = stand.project.apply_retention(dry_run=True)
    assert hits(stand.folder, ["axolotl"])
    done = stand.project.apply_retention()
    assert done["conversations"] == counted["conversations"] == 2
    assert not hits(stand.folder, ["axolotl"])
    assert hits(stand.folder, ["wombat"])
    assert hits(stand.folder, ["quokka"])
    assert stand.project.store.conversations.message(young[0].id)
    assert stand.project.store.conversations.get(waits.id).state == "waiting"
    assert stand.project.apply_retention() == {}
    assert stand.project.verify_history()


def test_a_running_server_overwrites_what_it_deletes(stand: Stand) -> None:
    talk(stand, "axolotl")
    stand.clock.later(31 * 86_400)
    stand.project.store.close()
    Retaining(stand.project, logger()).once()
    stand.project.store.close()
    assert not hits(stand.folder, ["axolotl"])


def test_an_answer_that_was_judged_stays(stand: Stand) -> None:
    answer = stand.model("what about the quota", "intent", "shop")
    plain = stand.model("what about a key", "intent", "shop")
    stand.project.add_feedback(answer.id, "right")
    later = stand.clock() + timedelta(days=31)
    done = expire(stand.project.store.database, RetentionRecipe(answers=30), later)
    assert done == {"answers": 1}
    assert stand.project.store.answers.get(answer.id)
    with pytest.raises(NotFound):
        stand.project.store.answers.get(plain.id)


def test_the_verb_says_what_it_would_delete(stand: Stand) -> None:
    found: Any = CliRunner().invoke(app, ["-C", str(stand.folder), "retention", "apply", "--dry-run"])
    assert (found.exit_code, found.stdout) == (0, "Would be deleted: nothing.\n")
