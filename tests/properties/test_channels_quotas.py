"""Quotas are never passed, whatever the clock does; and what is given back is given back once."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.channels.quotas import AT_ONCE, LASTS, Quotas, Taken
from headrace.errors import QuotaSpent
from headrace.store import Store

START = datetime(2024, 2, 28, 22, tzinfo=UTC)


class Usage:
    """Counts in memory; `keep` is what the answers' transaction does."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()

    def asked(self, channel: str, day: str) -> int:
        return self.counts[channel, day]

    def keep(self, taken: Taken) -> None:
        self.counts[taken.channel, taken.day] += taken.questions


step = st.tuples(
    st.sampled_from(["ask", "ask", "ask", "fail", "jump", "restart"]),
    st.integers(1, 4),
    st.sampled_from([-86_400, -3_600, -1, 1, 3_600, 86_400, 172_800]),
)


@settings(max_examples=50, deadline=None)
@given(steps=st.lists(step, max_size=60))
def test_no_day_gets_more_than_its_quota_under_jumps_and_restarts(steps: list[tuple[str, int, int]]) -> None:
    """An injected clock that jumps by a day, an hour or over a leap day, and crashes between."""
    usage, now = Usage(), [START]
    quotas = Quotas(usage, lambda channel: 7, clock=lambda: now[0])
    for what, questions, seconds in steps:
        if what == "jump":
            now[0] += timedelta(seconds=seconds)
        elif what == "restart":
            quotas = Quotas(usage, lambda channel: 7, clock=lambda: now[0])
        else:
            before = usage.counts[_place(now[0])]
            try:
                taken = quotas.take("shop", questions)
            except QuotaSpent:
                assert before + questions > 7
                continue
            assert before + questions <= 7
            if what == "ask":
                usage.keep(taken)
            else:
                quotas.give_back(taken)
    assert all(count <= 7 for count in usage.counts.values())


def _place(now: datetime) -> tuple[str, str]:
    return "shop", now.strftime("%Y-%m-%d")


@pytest.mark.parametrize(
    ("now", "seconds"),
    [
        (datetime(2026, 3, 1, 23, 59, 59, 500_000, tzinfo=UTC), 1),
        (datetime(2026, 3, 1, 12, tzinfo=UTC), 43_200),
        (datetime(2026, 12, 31, 0, 0, 0, tzinfo=UTC), 86_400),
    ],
)
def test_the_wait_is_until_midnight_utc(now: datetime, seconds: int) -> None:
    quotas = Quotas(Usage(), lambda channel: 1, clock=lambda: now)
    quotas.take("shop", 1)
    with pytest.raises(QuotaSpent) as caught:
        quotas.take("shop", 1)
    assert caught.value.retry_after == seconds


def test_a_channel_without_a_quota_is_counted_and_never_refused() -> None:
    quotas = Quotas(Usage(), lambda channel: None, clock=lambda: START)
    assert quotas.take("shop", 10_000) == Taken("shop", "2024-02-28", 10_000)


def test_threads_together_take_no_more_than_the_quota(sqlite_store: Store) -> None:
    sqlite_store.usage.add({("shop", "2024-02-28"): 10})
    quotas = Quotas(sqlite_store.usage, lambda channel: 10 + AT_ONCE, clock=lambda: START)
    won: list[Taken] = []

    def work() -> None:
        for _ in range(50):
            try:
                won.append(quotas.take("shop", 1))
            except QuotaSpent:
                return

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == AT_ONCE


@settings(max_examples=50, deadline=None)
@given(
    quota=st.integers(1, 100_000),
    steps=st.lists(st.tuples(st.integers(-2_000, 20_000), st.integers(1, 40)), min_size=1, max_size=60),
)
def test_a_days_quota_lasts_at_least_ten_minutes(quota: int, steps: list[tuple[int, int]]) -> None:
    """Whenever it asks, and whatever the clock does, a channel gets no more than its pace and one request."""
    now, forth, taken = START, 0.0, 0
    quotas = Quotas(Usage(), lambda channel: quota, clock=lambda: now)
    for milliseconds, questions in steps:
        now += timedelta(milliseconds=milliseconds)
        forth += max(0, milliseconds) / 1000
        try:
            quotas.take("shop", questions)
        except QuotaSpent:
            continue
        taken += questions
        assert taken <= max(AT_ONCE, quota / LASTS) + forth * quota / LASTS + questions


def test_a_channel_that_waits_as_told_gets_its_whole_quota() -> None:
    now, quota, answered, longest = START, 3_000, 0, 0
    usage = Usage()
    quotas = Quotas(usage, lambda channel: quota, clock=lambda: now)
    while answered < quota:
        try:
            usage.keep(quotas.take("shop", 1))
            answered += 1
        except QuotaSpent as error:
            longest = max(longest, error.retry_after)
            now += timedelta(seconds=error.retry_after)
    assert longest == 1
    assert now - START < timedelta(seconds=LASTS)
    with pytest.raises(QuotaSpent) as caught:
        quotas.take("shop", 1)
    assert caught.value.retry_after > 3_600


def test_one_request_may_ask_in_advance_and_the_next_waits_for_it() -> None:
    now = START
    quotas = Quotas(Usage(), lambda channel: 600, clock=lambda: now)
    taken = quotas.take("shop", 200)
    with pytest.raises(QuotaSpent) as caught:
        quotas.take("shop", 1)
    assert caught.value.retry_after == 200 - AT_ONCE + 1
    now += timedelta(seconds=caught.value.retry_after)
    quotas.take("shop", 1)
    with pytest.raises(QuotaSpent):
        quotas.take("shop", 1)
    quotas.give_back(taken)
    quotas.take("shop", 1)
