"""What a label is called now, after changes in their order."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from headrace.data.aliases import follow
from headrace.records import Event

AT = datetime(2026, 3, 1, tzinfo=UTC)


def change(label: str, *replaced: str) -> Event:
    return Event("evt", "labels", "intent", None, "", {"label": label, "replaced": list(replaced)}, AT)


@pytest.mark.parametrize(
    ("changes", "now"),
    [
        ([], {}),
        ([change("b", "a")], {"a": "b"}),
        ([change("b", "a"), change("c", "b")], {"a": "c", "b": "c"}),
        ([change("c", "a", "b"), change("d", "c")], {"a": "d", "b": "d", "c": "d"}),
        ([change("b", "a"), change("a", "b")], {"b": "a"}),
        ([change("b", "a"), change("a")], {}),
        ([change("b", "a"), change("a"), change("z", "a")], {"a": "z"}),
    ],
    ids=[
        "none",
        "one",
        "two in a row",
        "merged, then renamed",
        "and back",
        "added again",
        "and renamed again",
    ],
)
def test_a_former_name_leads_to_the_present_one(changes: list[Event], now: dict[str, str]) -> None:
    assert follow(changes) == now
