"""Own, else shared, else not yet."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from headrace.errors import NotServed
from headrace.records import Release
from headrace.serving.router import Router


def release(
    number: int, channel: str, adapter: str, task: str = "intent", minute: int | None = None
) -> Release:
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number if minute is None else minute)
    return Release(f"r{number}", task, channel, adapter, at, {})


def test_a_channel_is_served_by_its_newest_release() -> None:
    history = [release(1, "shop", "shared"), release(2, "shop", "own"), release(3, "forum", "other")]
    router = Router.of(history, {"shared"})
    assert router.route("intent", "shop").adapter == "own"
    assert router.route("intent", "forum").adapter == "other"
    assert router.serving() == {"own", "other", "shared"}


@pytest.mark.parametrize("minute", [5, 4])
def test_the_later_release_serves_even_where_the_clock_was_set_back(minute: int) -> None:
    router = Router.of([release(1, "shop", "a", minute=5), release(2, "shop", "b", minute=minute)], set())
    assert router.route("intent", "shop").id == "r2"


def test_a_channel_without_a_release_falls_back_on_the_newest_shared_one_of_its_task() -> None:
    history = [release(1, "shop", "shared-1"), release(2, "forum", "shared-2"), release(3, "shop", "own")]
    router = Router.of(history, {"shared-1", "shared-2"})
    assert router.route("intent", "new").id == "r2"
    assert router.route("intent", "shop").id == "r3"


def test_nothing_yet_is_said_so() -> None:
    router = Router.of([release(1, "shop", "own")], set())
    for task, channel in (("intent", "new"), ("mood", "shop")):
        with pytest.raises(NotServed, match="yet"):
            router.route(task, channel)
