"""A turn's report -> grids of text and the sections of its page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from headrace.reports import markup
from headrace.reports.drift import AccuracyDrift, InputDrift
from headrace.reports.figures import Step
from headrace.reports.grids import (
    NOTHING,
    Grid,
    counts,
    estimate,
    heads,
    kilobytes,
    number,
    short,
)
from headrace.reports.messages import say
from headrace.reports.turns import CameIn, Decided, Learned, TurnReport
from headrace.reports.weeks_plot import weeks_plot


def sections(report: TurnReport, language: str = "en") -> Iterator[str]:
    """What came in, was learned, decided and rolled back, and drift, as sections of a page."""
    yield from _table(came_in_grid(report.came_in, language), "turn.in", "nothing.in", language)
    yield from _table(learned_grid(report.learned, language), "turn.learned", "nothing.learned", language)
    decided = decided_grid(report, language)
    if decided.rows:
        yield markup.section(decided.title, markup.table(decided))
    yield from _inputs(report.inputs, language)
    yield from _accuracy(report.accuracy, language)


def steps(report: TurnReport, language: str = "en") -> tuple[Step, ...]:
    """The stretches of a turn, for the plot of where its time went."""
    return tuple(Step(_stage(one.name, language), one.start, one.seconds) for one in report.stages)


def came_in_grid(found: Sequence[CameIn], language: str = "en") -> Grid:
    """Per (task, channel): rows, examples, what was rejected and why, feedback, and what of it is held."""
    columns = heads(language, "channel", ("rows", "examples"), "rejected", "verdicts", ("held",))
    rows = tuple(
        (
            f"{one.channel}\n{one.task}",
            number(one.rows),
            number(one.examples),
            counts(one.rejected, language),
            counts({say(language, f"verdict.{name}"): n for name, n in one.feedback.items()}, language),
            number(one.held),
        )
        for one in found
    )
    return Grid(say(language, "turn.in"), columns, rows)


def learned_grid(found: Sequence[Learned], language: str = "en") -> Grid:
    """Per adapter: whose it is, how it was trained, on how many rows and corrections, and what it cost."""
    columns = heads(
        language, "adapter", "channel", "method", ("training rows", "corrections", "seconds", "kilobytes")
    )
    rows = tuple(
        (
            short(one.adapter),
            f"{one.channel}\n{one.task}" if one.channel else say(language, "shared of", task=one.task),
            one.method or NOTHING,
            number(one.rows),
            number(one.corrections),
            f"{one.seconds:.1f}",
            kilobytes(one.size),
        )
        for one in found
    )
    return Grid(say(language, "turn.learned"), columns, rows)


def decided_grid(report: TurnReport, language: str = "en") -> Grid:
    """Per (task, channel): the outcome, accuracy before and after, and why; rollbacks at the end."""
    columns = heads(language, "channel", "outcome", ("before", "after"), "reason")
    rows = [_decided(one, language) for one in report.decided]
    back = say(language, "outcome.back")
    rows += [
        (f"{one.channel}\n{one.task}", f"{back}\n{short(one.adapter)}", NOTHING, NOTHING, one.sentence)
        for one in report.rolled_back
    ]
    return Grid(say(language, "turn.decided"), columns, tuple(rows), say(language, "interval.note"))


def labels_grid(one: InputDrift, language: str = "en") -> Grid:
    """The labels whose share has changed."""
    columns = heads(language, "label", ("taught share", "answered share", "difference"))
    rows = tuple(
        (
            shift.label,
            f"{100 * shift.before:.1f}",
            f"{100 * shift.after:.1f}",
            f"{100 * shift.difference.value:+.1f}\n"
            f"{100 * shift.difference.low:+.1f} – {100 * shift.difference.high:+.1f}",
        )
        for shift in one.labels
    )
    return Grid(f"{one.channel} · {one.task}", columns, rows)


def weeks_grid(found: Sequence[AccuracyDrift], language: str = "en") -> Grid:
    """The numbers of the plot by week."""
    columns = heads(language, "channel", "week", ("judged", "accuracy"))
    rows = tuple(
        (
            f"{one.channel}\n{one.task}, {say(language, f'judges.{one.judges}')}",
            f"{week.monday:%Y-%m-%d}",
            number(week.right.n),
            estimate(week.right),
        )
        for one in found
        for week in one.weeks
    )
    return Grid(say(language, "weeks"), columns, rows)


def _decided(one: Decided, language: str) -> tuple[str, ...]:
    outcome = say(language, f"outcome.{one.outcome}")
    which = f"{outcome}\n{short(one.adapter)}" if one.adapter else outcome
    return f"{one.channel}\n{one.task}", which, estimate(one.before), estimate(one.after), one.reason


def _table(grid: Grid, key: str, nothing: str, language: str) -> Iterator[str]:
    if grid.rows:
        yield markup.section(grid.title, markup.table(grid), lead=say(language, f"{key}.lead"))
    else:
        yield markup.section(grid.title, markup.paragraph(say(language, nothing)))


def _inputs(found: Sequence[InputDrift], language: str) -> Iterator[str]:
    told = [one.told(language) for one in found] or [say(language, "drift.none")]
    parts = [markup.paragraph(sentence) for sentence in told]
    moved = [labels_grid(one, language) for one in found if one.labels]
    if moved:
        tables = "".join(markup.subtitle(grid.title) + markup.table(grid) for grid in moved)
        parts.append(markup.details(say(language, "drift.labels"), tables))
    yield markup.section(say(language, "turn.drift"), *parts, lead=say(language, "turn.drift.lead"))


def _accuracy(found: Sequence[AccuracyDrift], language: str) -> Iterator[str]:
    shown = [one for one in found if one.weeks]
    if not shown:
        return
    grid = weeks_grid(shown, language)
    told = [markup.paragraph(one.told(language)) for one in shown]
    plot = markup.figure(weeks_plot(shown, language))
    folded = markup.details(grid.title, markup.table(grid))
    yield markup.section(grid.title, *told, plot, folded, lead=say(language, "weeks.lead"))


def _stage(name: str, language: str) -> str:
    known = ("feedback", "rows", "training", "judging", "releasing", "drift")
    return say(language, f"step.{name}") if name in known else name
