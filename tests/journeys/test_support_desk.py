"""Customers and persons at the desk: asked, answered, corrected, handed over, told when nobody is there."""

from __future__ import annotations

from pathlib import Path

import pytest
from support_stand import FAQ, PretendGuarantee, PretendWriter, Stand, put

from headrace.apps.support.outcomes import Reply
from headrace.errors import Conflict, InputError, NotFound
from headrace.records import Message, Ticket


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return Stand(tmp_path / "project")


def ask(stand: Stand, text: str, conversation: str | None = None) -> tuple[Message, Reply]:
    conversation = conversation or stand.desk.begin("shop").conversation.id
    message = stand.desk.receive(conversation, text)
    return message, stand.desk.reply(message)


def test_a_chinese_customer_is_answered_corrects_and_a_rewording_is_right(stand: Stand) -> None:
    begun = stand.desk.begin("shop", language="zh")
    assert "机器" in begun.greeting.text
    _, reply = ask(stand, "额度 够不够 停用", begun.conversation.id)
    assert reply.message is not None
    assert reply.decision == "alone"
    assert reply.message.text == FAQ["quota"][1]
    assert [p.id for p in reply.sources] == ["pas_quota_zh"]

    judged = stand.desk.judge(
        reply.message.id, "correction", label="rollback", conversation=begun.conversation.id
    )
    assert judged.feedback is not None
    assert judged.feedback.state == "counts"
    assert judged.feedback.person is not None, "a customer's word is never the owner's"
    assert judged.message is not None
    assert judged.message.text == FAQ["rollback"][1]

    stand.model.sure = 0.2
    _, again = ask(stand, "请问怎么 停用", begun.conversation.id)
    assert again.decision == "alone"
    assert again.message is not None
    assert again.message.text == FAQ["rollback"][1], "this customer's own correction is taken at their word"
    _, other = ask(stand, "请问怎么 停用")
    assert other.decision == "person", "another customer's is not"


def test_below_the_threshold_the_customer_is_asked_and_the_choice_is_answered(stand: Stand) -> None:
    stand.model.sure = 0.6
    put(stand.project, "long", "A key for partners", "Partners get a key of their own. Ask the owner.")
    _, reply = ask(stand, "a key for partners")
    assert reply.decision == "ask"
    assert reply.message is not None
    assert reply.message.decision is None
    assert [choice.label for choice in reply.choices] == ["create_key", "pas_long"]
    seen = stand.desk.since(reply.message.conversation)
    assert FAQ["create_key"][0] not in [m.text for m in seen], "what was held back is not shown"

    first = stand.desk.judge(reply.message.id, "correction", label="create_key")
    assert first.feedback is not None
    assert first.feedback.verdict == "right"
    assert first.message is not None
    assert first.message.text == FAQ["create_key"][0]
    second = stand.desk.judge(reply.message.id, "correction", label="pas_long")
    assert second.feedback is not None
    assert second.feedback.task == "passage"
    assert second.message is not None
    assert second.message.text.startswith("Partners get")
    found = stand.project.store.searches.list(chosen=True)
    assert [(one.chosen, one.by) for one in found] == [("pas_long", "customer")]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("I want to speak to a real person", "asked"),
        ("a person, please", "asked"),
        ("转人工", "asked"),
        ("this key is useless!!", "angry"),
        ("气死我了 密钥", "angry"),
    ],
)
def test_who_asks_for_a_person_or_is_angry_gets_one(stand: Stand, text: str, reason: str) -> None:
    message, reply = ask(stand, text)
    assert reply.ticket is not None
    assert reply.ticket.reason == reason
    assert stand.told == [reply.ticket]
    (waiting,) = stand.desk.queue("shop")
    assert waiting.question == message
    assert waiting.ticket == reply.ticket
    quiet = stand.desk.reply(stand.desk.receive(message.conversation, "and a key"))
    assert quiet.message is None, "the machine is quiet while a person is awaited"
    assert stand.project.store.conversations.unanswered() == []


@pytest.mark.parametrize(
    "text", ["Can a person without a key open it?", "key for an agent of ours", "人工智能 密钥"]
)
def test_words_alone_do_not_call_a_person(stand: Stand, text: str) -> None:
    assert ask(stand, text)[1].decision == "alone"


def test_a_person_answers_and_the_customer_sees_it(stand: Stand) -> None:
    stand.guarantee = PretendGuarantee(2.0, 2.0, drawn=1.0)
    stand.desk = stand.another()
    message, reply = ask(stand, "how do i get a key?")
    assert reply.ticket is not None
    assert reply.message is not None
    (waiting,) = stand.desk.queue()
    assert waiting.intent == "create_key"
    assert waiting.draft is not None
    assert waiting.draft.drawn
    assert waiting.draft.text == FAQ["create_key"][0]
    assert stand.desk.take(reply.ticket.id, "ann").agent == "ann"
    assert stand.desk.take(reply.ticket.id, "ann").state == "taken", "twice is once"
    with pytest.raises(Conflict):
        stand.desk.take(reply.ticket.id, "bob")
    said = stand.desk.answer(reply.ticket.id, "ann", "You cannot, sorry.", intent="quota")
    assert stand.desk.since(message.conversation, reply.message.id) == [said]
    assert stand.desk.queue() == []
    assert stand.desk.to_check() == []
    (feedback,) = stand.project.store.feedback.list()
    assert (feedback.label, feedback.person) == ("quota", None), "an agent's word is the owner's"
    (checked,) = stand.project.store.tickets.checked("intent", "shop", 10)
    assert not checked.right
    with pytest.raises(Conflict):
        stand.desk.answer(reply.ticket.id, "bob", "Too late.")


def test_a_drawn_answer_is_sent_and_checked_once(stand: Stand) -> None:
    stand.guarantee.drawn = 1.0
    _, reply = ask(stand, "a key?")
    assert reply.decision == "alone"
    assert reply.message is not None
    assert reply.message.drawn
    assert stand.desk.to_check("shop") == [reply.message]
    stand.desk.check(reply.message.id, "ann", True)
    before = stand.project.store.tickets.checks_version()
    stand.desk.check(reply.message.id, "bob", False, label="quota")
    (checked,) = stand.project.store.tickets.checked("intent", "shop", 10)
    assert not checked.right, "the newest word stands"
    assert stand.project.store.tickets.checks_version() != before, "and other processes look again"


def drawn_ticket(stand: Stand) -> Ticket:
    """A ticket whose proposal, the answer to create_key, is drawn."""
    stand.guarantee = PretendGuarantee(2.0, 2.0, drawn=1.0)
    stand.desk = stand.another()
    ticket = ask(stand, "how do i get a key?")[1].ticket
    assert ticket is not None
    return ticket


@pytest.mark.parametrize(
    ("text", "passage", "intent", "right"),
    [
        ("My own words.", None, None, False),
        ("", "pas_create_key_en", None, True),
        ("", "pas_create_key_zh", None, True),
        ("", "pas_quota_en", None, False),
        ("My own words.", None, "create_key", True),
        ("", None, None, False),
    ],
)
def test_how_a_drawn_ticket_is_answered_never_leaves_a_check_out(
    stand: Stand, text: str, passage: str | None, intent: str | None, right: bool
) -> None:
    ticket = drawn_ticket(stand)
    (waiting,) = stand.desk.to_check()
    if text or passage:
        stand.desk.answer(ticket.id, "ann", text, passage=passage, intent=intent)
    else:
        stand.desk.close(ticket.id, "ann")
    assert stand.desk.to_check() == []
    (checked,) = stand.project.store.tickets.checked("intent", "shop", 10)
    assert checked.right is right
    stand.desk.check(waiting.id, "bob", True)
    (checked,) = stand.project.store.tickets.checked("intent", "shop", 10)
    assert checked.right, "a person's word later on corrects it"


def test_a_check_before_the_answer_stands(stand: Stand) -> None:
    ticket = drawn_ticket(stand)
    (waiting,) = stand.desk.to_check()
    stand.desk.check(waiting.id, "ann", True)
    stand.desk.answer(ticket.id, "ann", "In my own words.")
    (checked,) = stand.project.store.tickets.checked("intent", "shop", 10)
    assert checked.right


def test_an_intent_that_nobody_knows_is_refused_before_anything_is_sent(stand: Stand) -> None:
    ticket = drawn_ticket(stand)
    with pytest.raises(InputError):
        stand.desk.answer(ticket.id, "ann", "Hello.", intent="nonsense")
    assert stand.project.store.tickets.get(ticket.id).state == "waiting"


def test_what_the_agent_has_not_read_keeps_the_ticket_open(stand: Stand) -> None:
    ticket = drawn_ticket(stand)
    later = stand.desk.receive(ticket.conversation, "no, wait: a rollback!")
    stand.desk.reply(later)
    with pytest.raises(Conflict, match="a rollback!"):
        stand.desk.answer(ticket.id, "ann", "Here is a key.", seen=ticket.message)
    with pytest.raises(Conflict, match="a rollback!"):
        stand.desk.close(ticket.id, "ann", seen=ticket.message)
    assert stand.project.store.tickets.get(ticket.id).state == "waiting"
    assert len(stand.desk.to_check()) == 1, "nothing is said of the machine's answer either"
    assert stand.desk.answer(ticket.id, "ann", "Like this.", seen=later.id).author == "agent"


def test_out_of_hours_the_truth_is_said_and_a_late_answer_arrives(stand: Stand) -> None:
    stand.hours.open = False
    stand.model.sure = 0.1
    message, reply = ask(stand, "a key?")
    assert reply.message is not None
    assert "Nobody is here" in reply.message.text
    ticket = stand.desk.person_please(message.conversation, contact="me@example.org")
    assert ticket == reply.ticket, "one ticket a conversation"
    (waiting,) = stand.desk.queue()
    assert waiting.conversation.contact == "me@example.org"
    late = stand.desk.answer(ticket.id, "ann", passage="pas_create_key_en")
    assert stand.desk.since(message.conversation)[-1] == late


def test_a_follow_up_is_understood_with_the_turn_before(stand: Stand) -> None:
    message, _ = ask(stand, "how do i get a key?")
    _, reply = ask(stand, "and for a partner?", message.conversation)
    assert reply.message is not None
    assert reply.message.text == FAQ["create_key"][0]
    assert stand.search.asked[-1] == ("and for a partner?", ("how do i get a key?",))
    _, fresh = ask(stand, "my quota is spent, what now?", message.conversation)
    assert fresh.message is not None
    assert fresh.message.text == FAQ["quota"][0]
    assert not stand.search.asked[-1][1]


def test_where_nothing_serves_the_passages_answer_and_else_a_person(stand: Stand) -> None:
    stand.model.down = True
    put(stand.project, "hours", "opening hours", "We open at nine. " + "Never on holidays. " * 60)
    stand.guarantee.alone = 0.5
    _, reply = ask(stand, "your opening hours")
    assert reply.message is not None
    assert reply.message.task == "passage"
    assert reply.message.text.endswith("holidays.")
    assert len(reply.message.text) <= 600
    assert ("We open at nine. " + "Never on holidays. " * 60).startswith(reply.message.text)
    _, unknown = ask(stand, "zebra")
    assert unknown.decision == "person"
    assert unknown.message is not None
    assert "I do not know" in unknown.message.text


def test_a_writer_answers_sentence_by_sentence_and_the_owners_word_stays(tmp_path: Path) -> None:
    stand = Stand(tmp_path / "project", PretendGuarantee(alone=0.5), PretendWriter())
    assert stand.writer is not None
    put(stand.project, "hours", "opening hours", "We open at nine.")
    put(stand.project, "days", "opening days", "We open on Monday.")
    assert ask(stand, "a key?")[1].message.text == FAQ["create_key"][0]  # type: ignore[union-attr]
    stand.model.down = True
    begun = stand.desk.begin("shop")
    message = stand.desk.receive(begun.conversation.id, "opening hours")
    *sentences, reply = stand.desk.stream(message)
    assert sentences == ["Part 0. [1]", "Part 1. [2]"]
    assert isinstance(reply, Reply)
    assert reply.message is not None
    assert reply.message.text == "Part 0. [1] Part 1. [2]"
    assert [p.id for p in reply.sources] == ["pas_hours", "pas_days"]
    stand.writer.knows = False
    _, unknown = ask(stand, "opening hours")
    assert unknown.ticket is not None
    assert unknown.ticket.reason == "unknown"


def test_only_who_holds_the_secret_reads(stand: Stand) -> None:
    begun = stand.desk.begin("shop", person="visitor-7")
    assert stand.desk.open(begun.conversation.id, begun.secret, channel="shop") == begun.conversation
    assert "visitor-7" not in str(begun.conversation)
    for secret, channel in ((begun.secret, "partner"), ("guessed", "shop")):
        with pytest.raises(NotFound):
            stand.desk.open(begun.conversation.id, secret, channel=channel)
    with pytest.raises(NotFound):
        stand.desk.begin("silent")
    with pytest.raises(InputError):
        stand.desk.receive(begun.conversation.id, "  ")


def test_a_channels_own_passages_answer_nobody_else(stand: Stand) -> None:
    put(stand.project, "secret", "margin", "Our margin is 40 percent.", channel="partner")
    put(
        stand.project,
        "secret_key",
        "key?",
        "Partners: key ring nine.",
        channel="partner",
        intent="create_key",
    )
    stand.model.sure = 0.6
    _, reply = ask(stand, "what is the margin on a key")
    assert reply.message is not None
    for name in ("pas_secret", "pas_secret_key"):
        with pytest.raises(InputError):
            stand.desk.judge(reply.message.id, "correction", label=name)
    stored = " ".join(m.text for m in stand.project.store.conversations.messages(reply.message.conversation))
    assert "40 percent" not in stored
    assert "ring nine" not in stored
    other = stand.desk.reply(stand.desk.receive(stand.desk.begin("partner").conversation.id, "a key"))
    assert other.choices[0].title == "key?"
    assert other.decision == "ask"


def test_the_same_message_again_adds_nothing_and_ids_are_a_conversations_own(stand: Stand) -> None:
    one, two = (stand.desk.begin("shop").conversation.id for _ in range(2))
    first = stand.desk.receive(one, "a key? mail me@example.org", message_id="m1")
    assert "me@example.org" not in first.text
    assert stand.desk.receive(one, "something else", message_id="m1") == first
    assert stand.desk.receive(two, "another", message_id="m1").id != first.id
    reply = stand.desk.reply(first)
    assert stand.desk.reply(first) == reply
