"""What the console asks of the store, in both databases: users, sessions, latest answers, labels of rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from headrace.errors import Conflict, NotFound
from headrace.records import Answer, Row, User
from headrace.store import Store
from headrace.store.rows import set_states_in
from headrace.store.users import Opened

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
OLGA = User("user_1", "olga", "owner", "digest", NOON)
HOUR = timedelta(hours=1)


def test_users_by_name(store: Store) -> None:
    assert not store.users.any()
    store.users.add(OLGA)
    store.users.add(replace(OLGA, id="user_2", name="alan", role="agent"))
    with pytest.raises(Conflict):
        store.users.add(replace(OLGA, id="user_3"))
    assert [one.name for one in store.users.list()] == ["alan", "olga"]
    store.users.set_digest("olga", "another")
    assert store.users.named("olga") == replace(OLGA, digest="another")
    store.users.disable("olga", NOON)
    assert (store.users.any(), store.users.any("owner")) == (True, False)
    assert store.users.named("nobody") is None
    with pytest.raises(NotFound):
        store.users.disable("nobody", NOON)


def test_a_session_is_found_while_it_lasts(store: Store) -> None:
    store.users.add(OLGA)
    session = Opened("secret's hash", "user_1", "token", NOON, NOON + HOUR)
    store.sessions.begin(session)
    assert store.sessions.find("secret's hash", NOON) == (OLGA, session)
    assert store.sessions.find("another hash", NOON) is None
    assert store.sessions.find("secret's hash", NOON + HOUR) is None
    store.sessions.begin(replace(session, digest="second", created=NOON + HOUR, expires=NOON + 2 * HOUR))
    assert store.sessions.find("secret's hash", NOON) is None, "what has expired is forgotten"
    store.sessions.end("second")
    assert store.sessions.find("second", NOON + HOUR) is None
    for end in (lambda: store.users.disable("olga", NOON), lambda: store.users.set_digest("olga", "new")):
        store.sessions.begin(session)
        end()
        assert store.sessions.find("secret's hash", NOON) is None


def test_the_latest_answers_come_first(store: Store) -> None:
    made = [
        Answer(
            f"ans_{n}", "shop" if n % 2 else "forum", "intent", "?", "a", 0.5, "rel", "adp", NOON + n * HOUR
        )
        for n in range(6)
    ]
    store.answers.add(made)
    assert [one.id for one in store.answers.latest(limit=3)] == ["ans_5", "ans_4", "ans_3"]
    assert [one.id for one in store.answers.latest(channel="forum", limit=2)] == ["ans_4", "ans_2"]
    assert store.answers.latest("mood") == []


def test_a_row_is_labelled_once_and_judged_anew(store: Store) -> None:
    rows = [Row(f"row_{n}", "shop", "intent", "form", f"text {n}", None, None, "", NOON) for n in range(3)]
    store.rows.add(rows, run="run")
    with store.transaction() as connection:
        set_states_in(connection, {"row_0": "unlabelled", "row_1": "unlabelled", "row_2": "clean"})
    assert [row.id for row in store.rows.unlabelled("intent", "shop")] == ["row_0", "row_1"]
    assert store.rows.label("row_0", "refund")
    assert not store.rows.label("row_0", "return")
    assert not store.rows.label("row_2", "return")
    assert [row.label for batch in store.rows.pending() for row in batch] == ["refund"]
