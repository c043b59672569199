"""What a store promises, in SQLite and in Postgres alike."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from headrace.errors import Conflict, InputError, NotFound
from headrace.records import Adapter, Answer, Event, Example, Feedback, Key, Release, Row, content_id
from headrace.store import Store

NOW = datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=UTC)


def row(text: str, place: str = "a.csv:2", **changes: object) -> Row:
    made = Row(
        content_id("row", "shop", "mood", "a", text), "shop", "mood", "a", text, "good", None, place, NOW
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def adapter(name: str = "adp_1", channel: str | None = None) -> Adapter:
    return Adapter(
        name, "mood", channel, "base", ("bad", "good"), {"head.safetensors": "0" * 64}, {"n": 3}, 9, 1.5, NOW
    )


def answer(name: str = "ans_1", channel: str = "shop") -> Answer:
    return Answer(name, channel, "mood", "fine", "good", 0.5, "rel_1", "adp_1", NOW)


def test_a_second_run_of_the_same_rows_adds_nothing(store: Store) -> None:
    rows = [row("fine"), row("poor", "a.csv:3")]
    assert store.rows.add(rows, run="one").new == 2
    again = store.rows.add(rows, run="two")
    assert (again.new, again.known, again.repeated) == (0, 2, 0)
    assert store.rows.counts() == {("mood", "shop", "new"): 2}


def test_a_row_that_stands_twice_in_one_run_is_in_quarantine_with_the_place_of_the_first(
    store: Store,
) -> None:
    store.rows.add([row("fine"), row("fine", "a.csv:9")], run="one")
    store.rows.add([row("fine", "a.csv:12")], run="one")
    found = store.quarantine.list()
    assert [(r.place, r.reason, r.detail) for r in found] == [
        ("a.csv:12", "duplicate", "the same as a.csv:2"),
        ("a.csv:9", "duplicate", "the same as a.csv:2"),
    ]
    assert store.quarantine.counts() == {("mood", "shop", "duplicate"): 2}


def test_pending_rows_come_in_order_and_leave_when_they_are_settled(store: Store) -> None:
    rows = [row(f"text {i}", f"a.csv:{i}") for i in range(7)]
    store.rows.add(rows, run="one")
    assert [r.text for batch in store.rows.pending(3) for r in batch] == [r.text for r in rows]
    assert store.rows.get(rows[0].id) == rows[0]
    example = Example(rows[0].id, "shop", "mood", rows[0].text, "good", "train", "source", NOW)
    store.examples.settle([(example, "key")], states={r.id: "clean" for r in rows})
    assert list(store.rows.pending()) == []
    assert store.examples.of("mood") == [example]
    assert store.examples.by_text_key("mood", ["key", "other"]) == {"key": [example]}


def test_masked_details_are_counted_once_however_often_the_rows_come(store: Store) -> None:
    marked = row("write to <email>", masked={"email": 1})
    for run in ("one", "two"):
        store.rows.add([marked], run=run)
    assert store.rows.masked() == {("mood", "shop", "email"): 1}


def test_serving_is_the_newest_release_and_the_past_can_be_asked(store: Store) -> None:
    first = Release("rel_1", "mood", "shop", "adp_1", NOW, {"why": "first"})
    second = Release("rel_2", "mood", "shop", "adp_2", NOW + timedelta(hours=1), {}, previous="rel_1")
    store.history.add(
        adapter(), adapter("adp_2", "shop"), first, second, Event("e", "turn", None, None, "m", {}, NOW)
    )
    assert store.history.serving() == [second]
    assert store.history.serving(at=NOW) == [first]
    assert store.history.releases("mood", "shop") == [second, first]
    assert [a.id for a in store.history.adapters("mood", "")] == ["adp_1"]
    version = store.history.version()
    store.history.add(first)
    assert store.history.version() == version, "what is there stays as it is"
    with pytest.raises(NotFound, match="no adapter 'adp_9'"):
        store.history.adapter("adp_9")


def test_what_served_at_a_moment_goes_by_the_order_of_releases_where_the_clock_was_set_back(
    store: Store,
) -> None:
    ahead = NOW + timedelta(days=900)
    said = [(NOW, "shop"), (ahead, "shop"), (NOW + timedelta(minutes=10), "forum")]
    made = [
        Release(f"rel_{number}", "mood", channel, "adp_1", at, {})
        for number, (at, channel) in enumerate(said, start=1)
    ]
    store.history.add(adapter(), *made)
    then = NOW + timedelta(minutes=30)
    assert [one.id for one in store.history.serving(at=then)] == ["rel_3", "rel_2"]
    assert store.history.set_back(then) == ahead
    assert [one.id for one in store.history.serving(at=NOW)] == ["rel_1"]
    assert store.history.set_back(NOW) is store.history.set_back(ahead) is None
    assert store.history.serving(at=NOW - timedelta(1)) == []
    assert store.history.set_back(NOW - timedelta(1)) is None


def test_an_answer_of_another_channel_reads_like_one_that_nobody_has(store: Store) -> None:
    store.answers.add([answer()])
    assert store.answers.get("ans_1", channel="shop") == answer()
    said = []
    for name, channel in (("ans_1", "forum"), ("ans_9", "shop")):
        with pytest.raises(NotFound) as error:
            store.answers.get(name, channel=channel)
        said.append(error.value.message)
    assert said[0] == said[1]


def test_feedback_counts_once_and_is_used_once(store: Store) -> None:
    store.answers.add([answer()])
    given = Feedback("fb_1", "ans_1", "shop", "mood", "fine", "correction", "bad", NOW)
    store.feedback.add(given)
    store.feedback.add(given)
    assert store.feedback.list(used=False) == [given]
    with store.transaction() as connection:
        store.feedback.mark_used_in(connection, ["fb_1"])
    assert store.feedback.list(used=False) == []


def test_the_first_reply_to_a_key_is_the_only_one(store: Store) -> None:
    assert store.replies.claim("shop", "k", "digest", NOW) is None
    waiting = store.replies.claim("shop", "k", "digest", NOW)
    assert waiting is not None
    assert waiting.status is None
    store.replies.keep("shop", "k", 500, "{}")
    kept = store.replies.claim("shop", "k", "other", NOW)
    assert kept is not None
    assert (kept.digest, kept.status, kept.body) == ("digest", 500, "{}")
    assert store.replies.claim("forum", "k", "digest", NOW) is None, "keys belong to a channel"
    store.replies.release("forum", "k")
    assert store.replies.claim("forum", "k", "digest", NOW) is None


def test_keys_are_found_by_digest_and_revoked_for_good(store: Store) -> None:
    store.keys.add(Key("key_1", "shop", "d" * 64, "hr_live_ab", NOW))
    assert store.keys.revoke("key_1", NOW).revoked == NOW
    assert store.keys.revoke("key_1", NOW + timedelta(days=1)).revoked == NOW
    found = store.keys.by_digest("d" * 64)
    assert found is not None
    assert found.revoked == NOW
    with pytest.raises(NotFound, match="key_9"):
        store.keys.revoke("key_9", NOW)


def test_usage_adds_up(store: Store) -> None:
    for _ in range(3):
        store.usage.add({("shop", "2026-03-01"): 2})
    assert store.usage.asked("shop", "2026-03-01") == 6
    assert store.usage.asked("shop", "2026-03-02") == 0


def test_an_error_in_a_transaction_leaves_nothing_behind(store: Store) -> None:
    def fail_halfway() -> None:
        with store.transaction() as connection:
            store.history.add_in(connection, adapter())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_halfway()
    assert store.history.adapters() == []


@pytest.mark.parametrize("into", ["sqlite", "postgres"])
def test_a_backup_restores_into_either_database(
    store: Store, into: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    digest = store.artifacts.put(b"weights")
    store.rows.add([row("fine", masked={"card": 2}), row("fine", "a.csv:9")], run="one")
    store.history.add(adapter(), Release("rel_1", "mood", "shop", "adp_1", NOW, {"a": [1, "b"]}))
    store.answers.add([answer()])
    assert store.backup(tmp_path / "b" / "x.tar", "name: shop\n") > 0
    location = "new.db" if into == "sqlite" else request.getfixturevalue("postgres")()
    with Store.open(location, tmp_path / "other", create=True).closing() as other:
        assert other.restore(tmp_path / "b" / "x.tar")["rows"] == 1
        assert other.history.serving() == store.history.serving()
        assert list(other.rows.pending()) == list(store.rows.pending())
        assert other.quarantine.list() == store.quarantine.list()
        assert other.artifacts.get(digest) == b"weights"
        other.rows.add([row("new")], run="two")
        with pytest.raises(Conflict, match="holds rows already"):
            other.restore(tmp_path / "b" / "x.tar")
    with pytest.raises(Conflict, match="exists already"):
        store.backup(tmp_path / "b" / "x.tar", "")


def test_a_damaged_backup_is_refused_in_plain_words(sqlite_store: Store, tmp_path: Path) -> None:
    (tmp_path / "junk.tar").write_bytes(b"junk" * 300)
    with pytest.raises(InputError, match="not a backup"):
        sqlite_store.restore(tmp_path / "junk.tar")
    with pytest.raises(NotFound, match="no backup"):
        sqlite_store.restore(tmp_path / "absent.tar")
