"""How long: as it is typed and as it is said again."""

from __future__ import annotations

import pytest

from headrace.cli.durations import duration, in_words


@pytest.mark.parametrize("said", ["1m", "90m", "1h", "36h", "7d"])
def test_a_duration_is_said_as_it_was_typed(said: str) -> None:
    assert in_words(duration(said, "turn-every")) == said


def test_it_is_said_in_the_largest_unit_that_it_fills() -> None:
    assert in_words(duration("120m", "turn-every")) == "2h"
    assert in_words(duration("48h", "turn-every")) == "2d"
