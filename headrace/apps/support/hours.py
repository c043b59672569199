"""When persons answer: open now, and when next, in the time zone that the recipe names.

Hours are of the clock on the wall. Where clocks change, a day that begins at 09:00 still begins at 09:00; an
hour that occurs twice is open both times, and hours that the change leaves out are not waited for.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

from headrace.recipe import HoursRecipe
from headrace.recipe.hours import opening, zone


class OpeningHours:
    """The hours of a recipe; without any, persons answer always."""

    def __init__(self, recipe: HoursRecipe) -> None:
        self._zone = zone(recipe.zone)
        self._openings = tuple(opening(line) for line in recipe.open)

    def is_open(self, at: datetime) -> bool:
        """Whether somebody is there at this moment, which knows its zone."""
        return not self._openings or any(start <= at < end for start, end in self._spans(at))

    def next_opening(self, at: datetime) -> datetime | None:
        """When persons answer again, in the recipe's zone: `at` itself while open; None where never."""
        if self.is_open(at):
            return at.astimezone(self._zone)
        coming = [start for start, _ in self._spans(at) if start > at]
        return min(coming).astimezone(self._zone) if coming else None

    def _spans(self, at: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Every opening from two days before `at` to eight after, as moments of UTC."""
        today = at.astimezone(self._zone).date()
        for day in (today + timedelta(days=i) for i in range(-2, 9)):
            for one in self._openings:
                if day.weekday() in one.days:
                    start, end = self._moment(day, one.start, fold=0), self._moment(day, one.end, fold=1)
                    if start < end:
                        yield start, end

    def _moment(self, day: date, minute: int, *, fold: int) -> datetime:
        """The moment of a minute of a day; of a minute that occurs twice the first, with `fold` 1 the second."""
        wall = datetime.combine(day, time(), self._zone) + timedelta(minutes=minute)
        return wall.replace(fold=fold).astimezone(UTC)
