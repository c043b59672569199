"""One visitor's word: it counts for their own conversation, and decides little of what others are told."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from support_stand import FAQ, NOW, Stand, put

from headrace.apps.support.follow import leans
from headrace.apps.support.policy import wants_person
from headrace.records import Answer, Conversation, Feedback, Message, Ticket
from headrace.serving.searcher import Searched, Searcher

NAT = "address 198.51.100.7"


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    made = Stand(tmp_path / "project")
    yield made
    made.project.close()


def corrected(stand: Stand, text: str, label: str, person: str | None) -> Feedback:
    """A correction of a stored search answer."""
    name = stand.project.ids("ans")
    stand.project.store.answers.add([Answer(name, "shop", "passage", text, "p", 0.9, "", "", NOW)])
    return stand.project.add_feedback(name, "correction", label, person=person)


def searched(stand: Stand, text: str) -> Searched:
    return Searcher(stand.project.store, stand.project.recipe).search(text, task="passage", channel="shop")


def test_what_one_user_lifts_keeps_its_own_chance_and_what_the_owner_lifts_takes_the_best(
    stand: Stand,
) -> None:
    put(stand.project, "hours", "opening hours", "We open at nine.")
    put(stand.project, "odd", "zebra", "Stripes.")
    asked = "when are the opening hours"
    best = searched(stand, asked).found[0]
    assert (best.passage.id, best.chance > 0) == ("pas_hours", True)
    said = corrected(stand, asked, "pas_odd", "eve")
    lifted = searched(stand, asked)
    assert (lifted.found[0].passage.id, lifted.found[0].chance, lifted.because) == ("pas_odd", 0.0, said.id)
    stand.project.undo_feedback(said.id)
    corrected(stand, asked, "pas_odd", None)
    sure = searched(stand, asked).found[0]
    assert (sure.passage.id, sure.chance) == ("pas_odd", best.chance)


def test_one_user_displaces_no_answer_that_the_owner_wrote_to_just_this_question(stand: Stand) -> None:
    put(stand.project, "odd", "zebra", "Stripes.")
    corrected(stand, "Quota?", "pas_odd", "eve")
    assert searched(stand, "quota?").found[0].passage.id == "pas_quota_en"
    corrected(stand, "my quota", "pas_odd", "eve")
    assert searched(stand, "my quota").found[0].passage.id == "pas_odd", "other questions are anybody's"
    corrected(stand, "install?", "pas_odd", None)
    assert searched(stand, "install?").found[0].passage.id == "pas_odd", "the owner may"


def test_a_customers_pick_has_the_chance_that_the_search_gave_it(stand: Stand) -> None:
    stand.model.down = True
    put(stand.project, "hours", "opening hours", "We open at nine.")
    put(stand.project, "days", "opening days", "On Monday.")
    put(stand.project, "odd", "zebra", "Stripes.")
    asked = stand.desk.receive(stand.desk.begin("shop").conversation.id, "your opening hours")
    reply = stand.desk.reply(asked)
    assert reply.message is not None
    found = stand.project.store.searches.find(asked.id)
    assert found is not None
    for label, chance in (("pas_days", found.shown["pas_days"]), ("pas_odd", 0.0)):
        judged = stand.desk.judge(reply.message.id, "correction", label=label)
        assert judged.feedback is not None
        assert judged.feedback.chance == chance


def test_who_shares_an_address_shares_no_word_and_a_word_is_not_a_sure_check(stand: Stand) -> None:
    mine, other = (stand.desk.begin("shop", person=NAT).conversation.id for _ in range(2))
    stand.guarantee.drawn = 1.0
    first = stand.desk.reply(stand.desk.receive(mine, "quota to stop"))
    assert first.message is not None
    stand.desk.judge(first.message.id, "correction", label="rollback", conversation=mine)
    stand.model.sure = 0.2
    theirs = stand.desk.reply(stand.desk.receive(other, "how do I stop"))
    assert theirs.decision == "person"
    own = stand.desk.reply(stand.desk.receive(mine, "how do I stop"))
    assert own.message is not None
    assert (own.decision, own.message.text) == ("alone", FAQ["rollback"][0])
    assert own.message.score == 0.2, "the checks see what the adapter thought"


def test_a_message_is_answered_where_the_person_answered_meanwhile(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation = stand.desk.begin("shop").conversation.id
    stand.desk.person_please(conversation)
    message, seen = stand.desk.receive(conversation, "how do I get a key?"), stand.desk._open_ticket

    def late(name: str) -> Ticket | None:
        ticket = seen(name)
        if ticket is not None:
            stand.desk.answer(ticket.id, "ann", "Here I am.")
        return ticket

    monkeypatch.setattr(stand.desk, "_open_ticket", late)
    reply = stand.desk.reply(message)
    assert reply.message is not None
    assert reply.message.text == FAQ["create_key"][0]


def test_what_cannot_be_answered_goes_to_a_person_and_the_rest_is_answered(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = stand.project.store
    with store.transaction() as connection:
        store.conversations.begin_in(connection, Conversation("cnv_gone", "gone", "en", "", NOW))
        lost = Message("msg_lost", "cnv_gone", "customer", "a key?", NOW)
        store.conversations.say_in(connection, lost)
    left = [stand.desk.receive(stand.desk.begin("shop").conversation.id, "a key?") for _ in range(3)]
    monkeypatch.setattr(store.conversations, "unanswered", partial(store.conversations.unanswered, 1))
    assert stand.desk.resume() == 4
    assert [stand.desk.proposal(one) is not None for one in left] == [True] * 3
    assert [ticket.message for ticket in store.tickets.of("cnv_gone")] == ["msg_lost"]
    assert stand.desk.resume() == 0


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("connect me to wifi please", False),
        ("transfer me to the paid plan", False),
        ("put me through the sign-up steps", False),
        ("找个人气高的商品", False),
        ("找个人信息在哪里改", False),
        ("Is there a real person on your board page?", False),
        ("connect me to an agent please", True),
        ("put me through to somebody", True),
        ("transfer me to customer support", True),
        ("put me through, please", True),
        ("Is there a real person I can talk to?", True),
        ("are you a real person?", True),
        ("找个人", True),
        ("找个人来帮我", True),
        ("我要真人", True),
    ],
)
def test_a_person_is_asked_for_in_plain_words(text: str, wanted: bool) -> None:
    assert wants_person(text) == wanted


@pytest.mark.parametrize(
    ("text", "leaning"),
    [
        ("Is it possible to change the delivery address after shipping?", False),
        ("Why was I charged twice for the order of last week?", False),
        ("为什么我上个星期的订单被重复收了两次钱", False),
        ("why not?", True),
        ("and for a partner?", True),
        ("那怎么撤销呢？", True),
        ("how long does the refund take after I have sent it?", True),
    ],
)
def test_a_long_question_of_its_own_leans_on_nothing(text: str, leaning: bool) -> None:
    assert leans(text) == leaning
