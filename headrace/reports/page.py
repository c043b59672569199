"""A turn or the demo as one self-contained HTML page: tables, sentences, and plots as inline SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from headrace.evaluation.judgement import Judgement
from headrace.reports import grids, markup, plots, turn_grids
from headrace.reports.figures import (
    ChannelFigures,
    DemoFigures,
    ExampleFigures,
    JudgedFigures,
    MemoryFigures,
    Step,
    TurnFigures,
)
from headrace.reports.messages import say
from headrace.reports.turns import TurnReport


def turn_page(turn: TurnFigures, language: str = "en", report: TurnReport | None = None) -> str:
    """The page of one turn, of what it did where there is a `report`.

    Raises MissingExtra where headrace[report] is not installed.
    """
    title = say(language, "title.turn")
    small = (say(language, "turn", number=grids.short(turn.turn)), f"{turn.started:%Y-%m-%d %H:%M} UTC")
    lead = _lead([turn], language)
    body = [
        markup.heading(title, lead, small),
        markup.cards(_cards([turn], (), turn.seconds, language)),
        *(turn_grids.sections(report, language) if report else ()),
        *_channels(turn.channels, language, decisions=report is None),
        *_judged(turn.judged, language),
        *_timeline(turn_grids.steps(report, language) if report else turn.steps, language),
    ]
    return markup.document(title, body, language)


def evaluation_page(judged: Sequence[JudgedFigures], at: datetime, language: str = "en") -> str:
    """The page of one adapter's judgement, a card a channel. Raises MissingExtra as `turn_page` does."""
    title = say(language, "title.evaluation")
    small = (*dict.fromkeys(one.adapter for one in judged), f"{at:%Y-%m-%d %H:%M} UTC")
    rows = grids.number(sum(one.judgement.n for one in judged))
    lead = say(language, "lead.evaluation", channels=len(judged), rows=rows)
    cards = [
        (grids.percent(one.judgement.accuracy.value), f"{one.channel} · {one.task}")
        for one in judged
        if one.judgement.n
    ]
    body = [markup.heading(title, lead, small), markup.cards(cards), *_judged(judged, language)]
    return markup.document(title, body, language)


def demo_page(demo: DemoFigures, language: str = "en") -> str:
    """The page of the demo: its last turn first, then what corrections did, then the turns before it.

    Raises MissingExtra where headrace[report] is not installed.
    """
    title = say(language, "title.demo")
    small = (
        demo.project,
        f"{demo.at:%Y-%m-%d %H:%M} UTC",
        say(language, "seed", seed=demo.seed),
        demo.machine,
    )
    body = [
        markup.heading(title, _lead(demo.turns, language), small),
        markup.cards(_cards(demo.turns, demo.memory, demo.seconds, language)),
        *_last_turn(demo.turns, language),
        *_memory(demo.memory, demo.example, language),
        *_spoilt(demo.spoilt, language),
        *_earlier_turns(demo.turns, language),
        _foot(demo, language),
    ]
    return markup.document(title, body, language)


def _lead(turns: Sequence[TurnFigures], language: str) -> str:
    pairs = turns[-1].channels if turns else ()
    return say(
        language,
        "lead.demo",
        channels=len({one.channel for one in pairs}),
        tasks=len({one.task for one in pairs}),
        rows=grids.number(sum(one.rows_in for one in pairs)),
        released=sum(one.serves != "not yet" for one in pairs),
        pairs=len(pairs),
    )


def _cards(
    turns: Sequence[TurnFigures], memory: Sequence[MemoryFigures], seconds: float, language: str
) -> Iterator[tuple[str, str]]:
    pairs = turns[-1].channels if turns else ()
    yield grids.number(sum(one.rows_in for one in pairs)), say(language, "card.rows")
    served = sum(one.serves != "not yet" for one in pairs)
    yield f"{served}/{len(pairs)}", say(language, "card.served")
    reworded = sum(one.rewordings for one in memory)
    if reworded:
        right = sum(one.rewordings_right for one in memory)
        yield grids.percent(right / reworded), say(language, "card.reworded")
    asked = [one.milliseconds_median for one in memory if one.corrected]
    if asked:
        slowest = max(asked)
        yield f"{slowest:.0f}", say(language, "card.milliseconds")
    requests = sum(turn.requests for turn in turns)
    if requests:
        failures = sum(turn.failures for turn in turns)
        yield grids.number(failures), say(language, "card.failures", requests=grids.number(requests))
    yield f"{seconds:.0f}", say(language, "card.seconds")


def _channels(channels: Sequence[ChannelFigures], language: str, *, decisions: bool = True) -> Iterator[str]:
    grid = grids.channels_grid(channels, language)
    yield markup.section(grid.title, markup.table(grid), lead=say(language, "channels.lead"))
    if any(one.before or one.after for one in channels):
        plot = markup.figure(plots.quality(channels, language))
        yield markup.section(say(language, "quality"), plot, lead=say(language, "quality.lead"))
    said = grids.decisions_grid(channels, language)
    if said.rows and decisions:
        yield markup.section(said.title, markup.table(said))


def _judged(judged: Sequence[JudgedFigures], language: str) -> Iterator[str]:
    shown = [one for one in judged if one.judgement.n]
    if not shown:
        return
    curves = [
        markup.subtitle(f"{one.channel} · {one.task}")
        + markup.figure(plots.reliability(one.judgement, language), _calibration(one.judgement, language))
        for one in shown
    ]
    plotted = '<div class="plots">' + "".join(f"<div>{curve}</div>" for curve in curves) + "</div>"
    yield markup.section(say(language, "reliability"), plotted, lead=say(language, "reliability.lead"))
    parts = [part for one in shown for part in _confusion(one, language)]
    lead = say(language, "confusion.lead", most=plots.MOST_LABELS)
    yield markup.section(say(language, "confusion"), *parts, lead=lead)


def _calibration(judgement: Judgement, language: str) -> str:
    found = judgement.calibration_error
    return say(
        language,
        "calibration",
        value=grids.percent(found.value),
        low=grids.percent(found.low),
        high=grids.percent(found.high),
        n=grids.number(found.n),
    )


def _confusion(one: JudgedFigures, language: str) -> Iterator[str]:
    yield markup.subtitle(f"{one.channel} · {one.task}")
    worst = one.judgement.confusions()
    if not worst:
        yield markup.paragraph(say(language, "no.confusions"))
        return
    yield markup.figure(plots.confusion(one.judgement, language))
    grid = grids.confusions_grid(worst, language)
    yield markup.details(say(language, "confusions.lead"), markup.table(grid))


def _timeline(steps: Sequence[Step], language: str) -> Iterator[str]:
    if steps:
        grid = grids.steps_grid(steps, language)
        plot = markup.figure(plots.timeline(steps, language))
        folded = markup.details(say(language, "seconds"), markup.table(grid))
        yield markup.section(grid.title, plot, folded, lead=say(language, "timeline.lead"))


def _memory(memory: Sequence[MemoryFigures], example: ExampleFigures | None, language: str) -> Iterator[str]:
    if memory:
        grid = grids.memory_grid(memory, language)
        plot = markup.figure(plots.corrections(memory, language))
        yield markup.section(grid.title, markup.table(grid), plot, lead=say(language, "memory.lead"))
    if example is not None:
        shown = grids.example_grid(example, language)
        lead = say(language, "example.lead", channel=example.channel)
        yield markup.section(shown.title, markup.table(shown), lead=lead)


def _last_turn(turns: Sequence[TurnFigures], language: str) -> Iterator[str]:
    if turns:
        yield from _channels(turns[-1].channels, language)
        yield from _judged(turns[-1].judged, language)
        yield from _timeline(turns[-1].steps, language)


def _earlier_turns(turns: Sequence[TurnFigures], language: str) -> Iterator[str]:
    for number, turn in enumerate(turns[:-1], 1):
        grid = grids.channels_grid(turn.channels, language)
        said = grids.decisions_grid(turn.channels, language)
        yield markup.section(say(language, "turn", number=number), markup.table(grid), markup.table(said))


def _spoilt(spoilt: str, language: str) -> Iterator[str]:
    if spoilt:
        yield markup.section(say(language, "spoilt"), markup.paragraph(spoilt))


def _foot(demo: DemoFigures, language: str) -> str:
    notes = "".join(markup.paragraph(note) for note in demo.notes)
    command = f"<p>{markup.escape(say(language, 'made'))}: <code>{markup.escape(demo.command)}</code></p>"
    return f"<footer>{notes}{command}</footer>"
