"""Opening hours: of the wall's clock, where clocks change too; every mistake with its line."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.apps.support.hours import OpeningHours
from headrace.errors import RecipeError
from headrace.recipe import HoursRecipe, parse

BERLIN = "Europe/Berlin"
OFFICE = OpeningHours(HoursRecipe(zone=BERLIN, open=("mon-fri 09:00-18:00", "sat 10:00-14:00")))


def at(text: str, zone: str = BERLIN, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)


@pytest.mark.parametrize(
    ("now", "is_open", "coming"),
    [
        ("2026-03-27T08:59", False, "2026-03-27T09:00"),
        ("2026-03-27T09:00", True, "2026-03-27T09:00"),
        ("2026-03-27T18:00", False, "2026-03-28T10:00"),
        ("2026-03-28T14:00", False, "2026-03-30T09:00"),  # clocks go forward in between
        ("2026-10-24T20:00", False, "2026-10-26T09:00"),  # and back
    ],
)
def test_open_now_and_when_next(now: str, is_open: bool, coming: str) -> None:
    assert OFFICE.is_open(at(now)) is is_open
    assert OFFICE.next_opening(at(now)) == at(coming)
    elsewhere = at(now).astimezone(ZoneInfo("Asia/Shanghai"))
    assert OFFICE.is_open(elsewhere) is is_open
    assert str(OFFICE.next_opening(elsewhere)).endswith(("+01:00", "+02:00"))


def test_a_night_belongs_to_the_day_on_which_it_begins_and_an_hour_that_occurs_twice_is_open_twice() -> None:
    night = OpeningHours(HoursRecipe(zone=BERLIN, open=("sat 22:00-02:30",)))
    assert [night.is_open(at(f"2026-10-{moment}")) for moment in ("24T21:59", "24T22:00", "25T02:29")] == [
        False,
        True,
        True,
    ]
    assert night.is_open(at("2026-10-25T02:29", fold=1))
    assert not night.is_open(at("2026-10-25T02:30", fold=1))
    left_out = OpeningHours(HoursRecipe(zone=BERLIN, open=("sun 02:10-02:50",)))
    assert left_out.next_opening(at("2026-03-29T00:00")) == at("2026-04-05T02:10")


def test_without_hours_persons_answer_always_and_days_wrap_around_the_week() -> None:
    assert OpeningHours(HoursRecipe()).is_open(at("2026-01-01T03:00"))
    weekend = OpeningHours(HoursRecipe(open=("sat-mon 00:00-24:00",)))
    assert [weekend.is_open(at(f"2026-01-0{day}T12:00", "UTC")) for day in (2, 3, 4, 5, 6)] == [
        False,
        True,
        True,
        True,
        False,
    ]


@given(
    st.datetimes(datetime(2025, 1, 1), datetime(2027, 12, 31)),
    st.sampled_from([BERLIN, "America/St_Johns", "UTC"]),
)
@settings(max_examples=50, deadline=None)
def test_the_next_opening_is_open_and_the_moment_before_is_not(moment: datetime, zone: str) -> None:
    hours = OpeningHours(HoursRecipe(zone=zone, open=("mon-wed 09:00-17:30", "fri 22:00-01:00")))
    now = moment.replace(tzinfo=ZoneInfo("UTC"))
    coming = hours.next_opening(now)
    assert coming is not None
    assert coming >= now
    assert hours.is_open(coming)
    if not hours.is_open(now):
        assert (coming.hour, coming.minute) in ((9, 0), (22, 0))


def test_every_mistake_is_reported_with_its_line() -> None:
    text = (
        "name: shop\nsupport:\n  hours:\n    zone: Europe/Berlinn\n    open:\n"
        "      - mon-fri 09:00-18:00\n      - mon-fry 09:00-18:00\n      - sat 9-14\n      - sun 25:00-26:00\n"
        "      - sun 10:00-10:00\n      - sun 10:00-10:61\n"
    )
    with pytest.raises(RecipeError) as found:
        parse(text)
    said = "\n".join(found.value.mistakes)
    assert [line.split(":")[0] for line in found.value.mistakes] == [
        f"line {n}" for n in (4, 7, 8, 9, 10, 11)
    ]
    for part in (
        "no such time zone",
        "'fry' is no day",
        "written as",
        "25:00 is no time",
        "nothing lies",
        "10:61",
    ):
        assert part in said
