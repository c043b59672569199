"""One user poisons a channel over HTTP, and is undone (RELIABILITY row 14; OWASP LLM04, ML02)."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from web_stand import LABELS, Stand, release, standing

from headrace.data.corrections import Absorbed, absorb_feedback
from headrace.feedback.judge import undo
from headrace.recipe import Recipe
from headrace.store import Store

OTHERS = [f"question {n} of somebody else" for n in range(60)]
RECIPE = Recipe.model_validate(
    {"name": "x", "tasks": {"intent": {}}, "channels": {"shop": {"tasks": ["intent"]}}}
)


def answers(stand: Stand, texts: list[str]) -> list[tuple[str, float, str | None]]:
    """Label, confidence and the correction behind each answer, bit for bit."""
    found = []
    for at in range(0, len(texts), 50):
        got = stand.post("/v1/predict", {"texts": texts[at : at + 50], "task": "intent"}).json["answers"]
        found += [(one["label"], one["confidence"], one["because"]) for one in got]
    return found


def poison(stand: Stand, texts: list[str], person: str) -> list[bool]:
    """`person` corrects every text to a wrong label; which of the corrections count."""
    counted = []
    for at in range(0, len(texts), 50):
        for one in stand.post("/v1/predict", {"texts": texts[at : at + 50]}).json["answers"]:
            wrong = random.Random(one["id"]).choice([name for name in LABELS if name != one["label"]])
            body = {"answer": one["id"], "verdict": "correction", "label": wrong, "person": person}
            said = stand.post("/v1/feedback", body)
            assert said.status == 200, said.body
            counted.append(said.json["counted"])
            assert said.json["counted"] or said.json["reason"]
    return counted


@pytest.fixture
def stand(sqlite_store: Store) -> Iterator[Stand]:
    release(sqlite_store)
    with standing(sqlite_store) as made:
        yield made


def test_a_thousand_wrong_corrections_of_one_user_change_twenty_answers_until_they_are_undone(
    stand: Stand,
) -> None:
    store = stand.store
    mine = [f"poisoned {n}" for n in range(200)]  # 1,000 in full; what counts does not grow with it
    before, untouched = answers(stand, mine), answers(stand, OTHERS)
    counted = poison(stand, mine, "mallory")
    assert sum(counted) == 20
    assert answers(stand, OTHERS) == untouched
    after = answers(stand, mine)
    assert [old != new for old, new in zip(before, after, strict=True)] == counted
    assert absorb_feedback(store, RECIPE, clock=stand.clock) == Absorbed(), "nobody alone makes an adapter"
    poison(stand, ["one more"], "ann")
    assert absorb_feedback(store, RECIPE, clock=stand.clock).added == 4, "a person teaches three rows at most"
    assert len(store.feedback.list()) == len(mine) + 1, "what is held is kept"

    person = store.feedback.list(limit=1)[0].person
    undo(store, person=person, clock=stand.clock, ids=lambda kind: f"{kind}_undo")
    stand.service._watch.look()
    assert answers(stand, mine) == before
    assert absorb_feedback(store, RECIPE, clock=stand.clock).reverted == 3
    assert [one.text for one in store.examples.of("intent")] == ["one more"]


def test_after_a_restart_what_was_undone_is_still_undone(stand: Stand, sqlite_store: Store) -> None:
    texts = ["one", "two", "three"]
    before = answers(stand, texts)
    poison(stand, texts, "mallory")
    first = sqlite_store.feedback.list()[0]
    undo(sqlite_store, [first.id], clock=stand.clock, ids=lambda kind: f"{kind}_undo")
    with standing(sqlite_store) as other:
        assert answers(other, texts)[0] == before[0]
        assert [because is not None for _, _, because in answers(other, texts)] == [False, True, True]


def test_further_persons_let_a_contested_correction_count_in_every_process(
    stand: Stand, sqlite_store: Store
) -> None:
    with standing(sqlite_store) as other:
        label = answers(stand, ["same"])[0][0]
        one, two, three = [name for name in LABELS if name != label][:3]
        for server, name, person in ((stand, one, "ann"), (other, two, "bea"), (stand, two, "cid")):
            said = stand.ask("same", task="intent").json["answers"][0]
            body = {"answer": said["id"], "verdict": "correction", "label": name, "person": person}
            reply = server.post("/v1/feedback", body).json
        assert (reply["counted"], reply["reason"]) == (True, "others say the same"), "and not who they are"
        assert answers(stand, ["same"])[0][0] == two
        other.service._watch.look()
        assert answers(other, ["same"])[0][0] == two
        assert [one.state for one in sqlite_store.feedback.list()] == ["counts", "agreed", "agreed"]
        assert three not in {one.label for one in sqlite_store.feedback.list()}


def test_a_feedback_carries_its_key_and_who_asked(stand: Stand, sqlite_store: Store) -> None:
    asked = stand.ask("hello", task="intent", person="user-1").json["answers"][0]
    stand.post("/v1/feedback", {"answer": asked["id"], "verdict": "wrong"})
    (said,) = sqlite_store.feedback.list()
    assert said.key in {key.id for key in sqlite_store.keys.list("shop")}
    assert said.person == sqlite_store.answers.get(asked["id"]).person
