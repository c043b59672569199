"""record: what is refused, with which field and cure, and what is stored."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from headrace.errors import InputError, NotFound
from headrace.feedback import record
from headrace.feedback.record import pseudonym
from headrace.records import Answer, Feedback
from headrace.store import Store

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LABELS = ("refund", "delivery", "password_lost")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = Store.open("store.db", tmp_path, create=True)
    answer = Answer("ans_1", "shop", "intent", "my parcel?", "refund", 0.6, "rel_1", "ad_1", NOW)
    found.answers.add([answer])
    yield found
    found.close()


def say(
    store: Store,
    *,
    answer: str = "ans_1",
    channel: str = "shop",
    verdict: str = "correction",
    label: str | None = "delivery",
    person: str | None = None,
) -> Feedback:
    return record(
        store,
        answer,
        channel=channel,
        verdict=verdict,
        label=label,
        person=person,
        labels=LABELS,
        salt=b"salt",
        clock=lambda: NOW,
        ids=lambda kind: f"{kind}_1",
    )


def test_a_correction_is_in_a_store_opened_anew(store: Store, tmp_path: Path) -> None:
    said = say(store)
    assert (said.task, said.text, said.label, said.at) == ("intent", "my parcel?", "delivery", NOW)
    other = Store.open("store.db", tmp_path)
    assert other.feedback.list() == [said]
    other.close()


def test_an_unknown_label_names_the_nearest(store: Store) -> None:
    with pytest.raises(InputError, match="Did you mean 'delivery'") as caught:
        say(store, label="delivry")
    assert caught.value.field == "label"
    assert store.feedback.list() == []


@pytest.mark.parametrize(
    ("verdict", "label", "field"),
    [("correction", None, "label"), ("right", "refund", "label"), ("maybe", None, "verdict")],
)
def test_verdict_and_label_must_go_together(
    store: Store, verdict: str, label: str | None, field: str
) -> None:
    with pytest.raises(InputError) as caught:
        say(store, verdict=verdict, label=label)
    assert caught.value.field == field
    assert caught.value.cure
    assert store.feedback.list() == []


def test_another_channels_answer_reads_like_a_missing_one(store: Store) -> None:
    """OWASP LLM02: nothing says that the id exists elsewhere."""
    said = []
    for answer, channel in (("ans_1", "partner"), ("ans_nobody", "partner")):
        with pytest.raises(NotFound) as caught:
            say(store, answer=answer, channel=channel)
        said.append(caught.value.message)
    assert said[0] == said[1]


def test_a_person_is_stored_as_a_hash_that_needs_the_salt(store: Store) -> None:
    said = say(store, person="ann@example.org")
    assert said.person == pseudonym("ann@example.org", b"salt")
    assert "ann" not in str(said.person)
    assert said.person != pseudonym("ann@example.org", b"other salt")
