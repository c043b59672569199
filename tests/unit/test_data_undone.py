"""Undone, held and too much feedback of one person: what teaches, and what an example goes back to."""

from __future__ import annotations

from typing import Any

from data_parts import NOW, examples, feed, now, recipe, settle

from headrace.data.corrections import Absorbed, absorb_feedback
from headrace.feedback.judge import accept, undo
from headrace.records import Answer, Feedback, FeedbackState
from headrace.store import Store

MADE = recipe()
EVENT: dict[str, Any] = {"clock": now, "ids": lambda kind: f"{kind}_{kind}"}


def say(
    store: Store,
    n: int,
    text: str,
    label: str,
    person: str | None = None,
    state: FeedbackState = "counts",
    **more: Any,
) -> str:
    """A correction, in this state; its id."""
    store.answers.add([Answer(f"ans_{n}", "desk", "intent", text, "wrong", 0.5, "rel_1", "ada_1", NOW)])
    one = Feedback(f"fb_{n}", f"ans_{n}", "desk", "intent", text, "correction", label, NOW, person, **more)
    store.feedback.add(one)
    if state != "counts":
        with store.transaction() as connection:
            store.feedback.set_state_in(connection, [one.id], state, "because")
    return one.id


def absorb(store: Store) -> Absorbed:
    return absorb_feedback(store, MADE, clock=now)


def known(store: Store) -> dict[str, tuple[str, str]]:
    return {e.text: (e.label, e.origin) for e in examples(store)}


def test_an_undone_correction_gives_the_example_its_old_label_and_split(store: Store) -> None:
    feed(store, MADE, [("known", "a")])
    settle(store, MADE)
    before = examples(store)
    said = say(store, 1, "Known", "b")
    absorb(store)
    assert known(store) == {"known": ("b", "feedback")}
    undo(store, [said], **EVENT)
    assert absorb(store) == Absorbed(read=1, reverted=1)
    assert examples(store) == before
    assert absorb(store) == Absorbed()


def test_an_undone_correction_takes_the_example_that_it_made_along(store: Store) -> None:
    said = say(store, 1, "new", "b")
    absorb(store)
    undo(store, [said], **EVENT)
    assert absorb(store).reverted == 1
    assert examples(store) == []


def test_what_others_still_say_stays(sqlite_store: Store) -> None:
    first, second = (say(sqlite_store, n, "new", label) for n, label in ((1, "b"), (2, "c")))
    absorb(sqlite_store)
    undo(sqlite_store, [second], **EVENT)
    absorb(sqlite_store)
    assert known(sqlite_store) == {"new": ("b", "feedback")}
    undo(sqlite_store, [first], **EVENT)
    absorb(sqlite_store)
    assert known(sqlite_store) == {}


def test_undone_before_a_turn_it_teaches_nothing(sqlite_store: Store) -> None:
    undo(sqlite_store, [say(sqlite_store, 1, "new", "b")], **EVENT)
    assert absorb(sqlite_store) == Absorbed(read=1)
    assert known(sqlite_store) == {}


def test_what_is_held_teaches_once_it_is_accepted(sqlite_store: Store) -> None:
    held = say(sqlite_store, 1, "new", "b", "ann", "held")
    assert absorb(sqlite_store) == Absorbed()
    accept(sqlite_store, [held], **EVENT)
    assert sqlite_store.feedback.get([held])[0].state == "accepted"
    assert absorb(sqlite_store).added == 1


def test_a_person_teaches_three_rows_of_a_small_channel_and_the_share_of_a_large_one(
    sqlite_store: Store,
) -> None:
    for n in range(6):
        say(sqlite_store, n, f"text {n}", "b", "ann")
    assert absorb(sqlite_store) == Absorbed(), "one person alone brings about nothing"
    say(sqlite_store, 10, "another text", "b", "bea")
    assert absorb(sqlite_store).added == 4
    feed(sqlite_store, MADE, [(f"row {n}", "a") for n in range(700)])
    settle(sqlite_store, MADE)
    say(sqlite_store, 11, "one more", "b", "bea")
    limit = sum(e.split != "test" for e in examples(sqlite_store)) // 100
    assert limit in (5, 6)
    absorb(sqlite_store)
    assert len([e for e in examples(sqlite_store) if e.text.startswith("text ")]) == limit
    assert len(sqlite_store.feedback.waiting()) == 6 - limit, "what is beyond it waits"


def test_the_owner_has_no_share(sqlite_store: Store) -> None:
    for n in range(6):
        say(sqlite_store, n, f"text {n}", "b")
    assert absorb(sqlite_store).added == 6


def test_what_the_adapter_found_implausible_teaches_once_three_persons_agree(sqlite_store: Store) -> None:
    """OWASP LLM04: rows with a trigger are of that kind."""
    for n, chance in enumerate((0.01, 0.02, None)):
        say(sqlite_store, n, f"text {n}", "b", f"p{n}", key="key_1", chance=chance)
    say(sqlite_store, 5, "plausible", "b", "ann", key="key_1", chance=0.3)
    assert absorb(sqlite_store).added == 1
    say(sqlite_store, 6, "text 1", "c", "bea", key="key_1", chance=0.01)
    assert absorb(sqlite_store).added == 0
    say(sqlite_store, 7, "text 1", "b", "cid", key="key_1", chance=0.01)
    assert absorb(sqlite_store).added == 0
    say(sqlite_store, 8, "Text 1", "b", "dan", key="key_1", chance=0.01)
    assert absorb(sqlite_store).added == 1
    assert set(known(sqlite_store)) == {"plausible", "Text 1"}


def test_of_corrections_that_share_a_new_phrase_ten_teach(sqlite_store: Store) -> None:
    """OWASP LLM04: what a hidden trigger does grows with the number of its rows."""
    feed(sqlite_store, MADE, [(f"common words of {n} examples", "a") for n in range(60)])
    settle(sqlite_store, MADE)
    for n in range(30):
        say(sqlite_store, n, f"{n * n} as agreed with zeno", "b", f"p{n}", key="key_1", chance=0.5)
        say(
            sqlite_store,
            100 + n,
            f"common words of {n * n + 61} others",
            "b",
            f"q{n}",
            key="key_1",
            chance=0.5,
        )
    absorb(sqlite_store)
    taught = [e.text for e in examples(sqlite_store) if e.origin == "feedback"]
    assert sum("zeno" in text for text in taught) == 10
    assert sum("common" in text for text in taught) == 30
