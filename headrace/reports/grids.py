"""Figures -> grids of text: the one place where a figure becomes the characters that people see.

Terminal tables and HTML pages are made of the same grids, so they cannot show different numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from headrace.evaluation.intervals import Estimate
from headrace.evaluation.judgement import Confused
from headrace.reports.figures import ChannelFigures, ExampleFigures, MemoryFigures, StatusFigures, Step
from headrace.reports.messages import kind, say

NOTHING = "–"


@dataclass(frozen=True)
class Column:
    """A column's head; numbers stand to the right."""

    head: str
    number: bool = False


@dataclass(frozen=True)
class Grid:
    """A titled table of text; a cell may have several lines, the first of which matters most."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def channels_grid(channels: Sequence[ChannelFigures], language: str = "en") -> Grid:
    """Per (task, channel): rows in, rejected and why, what serves, accuracy before and after, cost."""
    columns = heads(
        language,
        "channel",
        ("rows",),
        "rejected",
        "serves",
        ("before", "after", "seconds", "kilobytes"),
    )
    masked = sum((Counter(one.masked) for one in channels), Counter[str]())
    notes = [say(language, "interval.note"), say(language, "bytes")]
    if masked.total():
        notes.append(say(language, "masked", what=", ".join(_kinds(masked, language))))
    rows = tuple(
        (
            f"{one.channel}\n{one.task}",
            number(one.rows_in),
            counts(one.rejected, language),
            serving(one, language),
            estimate(one.before),
            estimate(one.after),
            f"{one.seconds:.1f}",
            kilobytes(one.size_bytes),
        )
        for one in channels
    )
    return Grid(say(language, "channels"), columns, rows, " ".join(notes))


def decisions_grid(channels: Sequence[ChannelFigures], language: str = "en") -> Grid:
    """The gate's sentence for each (task, channel) that it judged."""
    rows = tuple((f"{one.channel}\n{one.task}", one.decision) for one in channels if one.decision)
    return Grid(say(language, "decisions"), heads(language, "channel", (), "decision"), rows)


def status_grid(pairs: Sequence[StatusFigures], language: str = "en") -> Grid:
    """The circle: per (task, channel) what came in, is clean, waits and serves, how good, and feedback."""
    columns = heads(language, "channel", ("came in", "clean", "waits"), "serves", ("accuracy", "feedback"))
    rows = tuple(
        (
            f"{one.channel}\n{one.task}",
            number(one.came_in),
            number(one.clean),
            number(one.waits),
            serving(one, language),
            estimate(one.accuracy),
            number(one.feedback_waiting),
        )
        for one in pairs
    )
    return Grid(say(language, "status"), columns, rows, say(language, "interval.note"))


def memory_grid(memory: Sequence[MemoryFigures], language: str = "en") -> Grid:
    """What corrections changed: of the corrected, the reworded, the untouched, and another channel's."""
    columns = heads(
        language,
        "channel",
        ("corrected", "rewordings", "reworded right", "untouched", "other", "milliseconds"),
    )
    rows = tuple(
        (
            one.channel,
            share(one.changed_corrected, one.corrected),
            share(one.changed_rewordings, one.rewordings),
            share(one.rewordings_right, one.rewordings),
            share(one.changed_untouched, one.untouched),
            share(one.changed_other_channel, one.other_channel),
            f"{one.milliseconds_median:.0f}" if one.corrected else NOTHING,
        )
        for one in memory
    )
    return Grid(say(language, "memory"), columns, rows)


def confusions_grid(confusions: Sequence[Confused], language: str = "en") -> Grid:
    """Wrong answers: the right label, the answer, and how often."""
    rows = tuple((one.gold, one.answered, number(one.count)) for one in confusions)
    columns = heads(language, "right", (), "answered", ("count",))
    return Grid(say(language, "confusion"), columns, rows)


def steps_grid(steps: Sequence[Step], language: str = "en") -> Grid:
    """The steps of a turn with their seconds."""
    rows = tuple((step_name(step), f"{step.start:.1f}", f"{step.seconds:.1f}") for step in steps)
    return Grid(say(language, "timeline"), heads(language, "step", ("begins", "seconds")), rows)


def example_grid(one: ExampleFigures, language: str = "en") -> Grid:
    """A correction as question, answer, correction and answer then."""
    lines = [
        ("question", one.question),
        ("answered", one.answered),
        ("correction", one.correction),
        ("then", one.then),
        ("rewording", one.rewording),
        ("then", one.rewording_then),
    ]
    shown = lines if one.rewording else lines[:4]
    rows = tuple((say(language, key), text) for key, text in shown)
    return Grid(say(language, "example"), (Column(""), Column("")), rows)


def number(value: int) -> str:
    """With thousands set apart: 17,400."""
    return f"{value:,}"


def percent(value: float) -> str:
    """A share as percent with one decimal."""
    return f"{100 * value:.1f} %"


def estimate(found: Estimate | None) -> str:
    """A share in percent and, on a second line, its interval; a dash where nothing is known."""
    if found is None or found.n == 0:
        return NOTHING
    return f"{percent(found.value)}\n{100 * found.low:.1f}–{100 * found.high:.1f}"


def share(part: int, whole: int) -> str:
    """`part` of `whole` in percent and, on a second line, as counts."""
    return f"{percent(part / whole)}\n{number(part)} / {number(whole)}" if whole else NOTHING


def counts(found: Mapping[str, int], language: str = "en") -> str:
    """The sum and, on further lines, what it is made of, largest first."""
    return "\n".join([number(sum(found.values())), *_kinds(found, language)])


def serving(one: ChannelFigures | StatusFigures, language: str = "en") -> str:
    """Own, shared or not yet, and on a second line the adapter's short id."""
    which = say(language, one.serves)
    return f"{which}\n{short(one.adapter)}" if one.adapter else which


def short(adapter: str) -> str:
    """The part of an adapter's id that people compare: eight characters after the prefix."""
    return adapter.rpartition("_")[2][:8]


def kilobytes(size: int) -> str:
    """Bytes as kilobytes of 1,024; a dash for none."""
    return f"{size / 1024:,.0f}" if size else NOTHING


def step_name(step: Step) -> str:
    """A step with the task and channel it was for."""
    return " · ".join(part for part in (step.name, step.channel or step.task) if part)


def _kinds(found: Mapping[str, int], language: str) -> list[str]:
    """Counts with their names, largest first."""
    parts = sorted(((n, name) for name, n in found.items() if n), key=lambda part: (-part[0], part[1]))
    return [f"{kind(language, name)} {number(n)}" for n, name in parts]


def heads(language: str, *groups: str | Iterable[str]) -> tuple[Column, ...]:
    """A text column for a key, number columns for a group of keys."""
    made: list[Column] = []
    for group in groups:
        keys = [group] if isinstance(group, str) else list(group)
        made += [Column(say(language, key), not isinstance(group, str)) for key in keys]
    return tuple(made)
