"""What came in between two moments of a store, the same in both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from headrace.evaluation.intervals import wilson
from headrace.records import Adapter, Answer, Audit, Feedback, FeedbackState, Release, Row, Verdict
from headrace.reports.drift import Grown, InputDrift
from headrace.reports.turns import TurnReport, last_report
from headrace.store import Store, TurnState
from headrace.store.erase import GONE, Theirs, redact_in
from headrace.store.windows import Day, Marks, Windows

NOON = datetime(2026, 3, 18, 12, tzinfo=UTC)
PAIR = ("intent", "desk")


def answer(number: int, channel: str = "desk", at: datetime = NOON) -> Answer:
    return Answer(
        f"ans_{number:03}", channel, "intent", f"text {number}", "refund", 0.9, "rel_1", "adp_1", at
    )


def said(
    number: int, verdict: Verdict, state: FeedbackState = "counts", day: int = 0, of: int = 1
) -> Feedback:
    label = "refund" if verdict == "correction" else None
    at = NOON + timedelta(days=day)
    return Feedback(f"fb_{number}", f"ans_{of:03}", "desk", "intent", "t", verdict, label, at, state=state)


def test_counts_are_those_between_two_moments_and_a_moment_comes_back_from_json(store: Store) -> None:
    windows = Windows(store.database)
    assert windows.marks() == Marks() == Marks.from_json(None)
    row = Row("row_1", "desk", "intent", "file", "hello", "a", None, "file:1", NOON)
    store.rows.add([row], run="run_1")
    before = windows.marks()
    assert Marks.from_json(before.to_json()) == before
    assert before.rows == 1
    mine = Row("row_2", "desk", "intent", "feedback", "hi", "a", None, "answer", NOON, origin="feedback")
    other = Row("row_3", "forum", "intent", "file", "ho", "a", None, "file:2", NOON)
    store.rows.add([row, mine, other], run="run_2")
    store.answers.add([answer(1)])
    for one in (said(1, "right"), said(2, "correction"), said(3, "correction", "held")):
        store.feedback.add(one)
    now = windows.marks()
    assert windows.rows(before, now) == {("intent", "forum"): 1}
    assert windows.rows(Marks(), before) == {PAIR: 1}
    assert windows.feedback(before, now) == {
        (*PAIR, "right", "counts"): 1,
        (*PAIR, "correction", "counts"): 1,
        (*PAIR, "correction", "held"): 1,
    }
    assert not windows.feedback(now, now)
    assert not windows.examples(before, now)
    assert not windows.rejected(before, now)


def test_the_newest_questions_of_each_pair_after_a_moment(store: Store) -> None:
    windows = Windows(store.database)
    old = [answer(n, at=NOON - timedelta(hours=1)) for n in range(3)]
    store.answers.add([*old, *(answer(n) for n in range(3, 9)), answer(50, "forum")])
    found = windows.asked(NOON - timedelta(minutes=1), 4)
    assert {pair: len(asked) for pair, asked in found.items()} == {PAIR: 4, ("intent", "forum"): 1}
    assert {one.text for one in found[PAIR]} == {f"text {n}" for n in range(5, 9)}
    assert found[PAIR][0].label == "refund"


def test_judged_answers_by_day_count_each_answer_once_by_the_last_word_that_counts(store: Store) -> None:
    windows, since = Windows(store.database), NOON - timedelta(days=5)
    store.answers.add([answer(n) for n in range(1, 4)])
    for one in (
        said(1, "wrong", of=1),
        said(2, "right", of=1, day=1),
        said(3, "correction", of=2),
        said(4, "right", "undone", of=2),
        said(5, "wrong", of=3, day=-9),
    ):
        store.feedback.add(one)
    assert windows.verdicts(since) == [Day(*PAIR, "2026-03-18", 1, 0), Day(*PAIR, "2026-03-19", 1, 1)]
    with store.transaction() as connection:
        store.shadows.audit_in(connection, Audit("ans_001", "refund", "owner", NOON))
        store.shadows.audit_in(connection, Audit("ans_002", "other", "owner", NOON))
    assert windows.audits(since) == [Day(*PAIR, "2026-03-18", 2, 1)]
    assert windows.audits(NOON) == []


def test_adapters_and_releases_after_a_moment(store: Store) -> None:
    windows = Windows(store.database)
    adapter = Adapter("adp_1", "intent", None, "base", ("a",), {}, {"method": "head"}, 1, 0.1, NOON)
    store.history.add(adapter)
    before = windows.marks()
    store.history.add(Release("rel_1", *PAIR, "adp_1", NOON, {"reason": "first"}))
    assert [one.id for one in windows.releases(before)] == ["rel_1"]
    assert windows.releases(windows.marks()) == []
    assert windows.events(before) == []
    assert windows.adapters(NOON) == [adapter]
    assert windows.adapters(NOON + timedelta(seconds=1)) == []


def test_who_is_forgotten_leaves_no_word_in_the_reports_of_turns(store: Store) -> None:
    word, other = Grown("rosebud", 0.0, 0.3), Grown("parcel", 0.0, 0.2)
    drift = InputDrift(*PAIR, 1e-4, True, wilson(1, 2), 60, 60, (word, other))
    report = TurnReport("turn_1", NOON, NOON, 1.0, inputs=(drift,))
    store.turns.begin(TurnState("turn_1", {}, NOON))
    store.turns.save("turn_1", {"report": report.to_json()}, finished=NOON)
    with store.transaction() as connection:
        redact_in(connection, store.history.chain, Theirs("person_1", texts=frozenset({"My Rosebud burns"})))
    kept = last_report(store)
    assert kept is not None
    assert [one.word for one in kept.inputs[0].words] == [GONE, "parcel"]
