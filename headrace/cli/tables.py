"""What the project says -> tables for people, JSON for scripts. Imports the project: only verbs load it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from headrace.data.collect import Collected
from headrace.evaluation.intervals import Estimate
from headrace.evaluation.judgement import Judgement
from headrace.evaluation.metrics import ClassRow
from headrace.flywheel import Judged, PairTurn, Turn
from headrace.records import Adapter, Rejected
from headrace.reports.figures import StatusFigures, to_json
from headrace.reports.grids import Column, Grid, counts, estimate, number, short, status_grid
from headrace.reports.status import PairStatus, TurnsStatus
from headrace.reports.tables import plain, rich_table
from headrace.reports.turns import lines

WEAKEST = 5
MOST = 12
"""Lines about the last turn; --json and --html have all."""

__all__ = ["plain", "rich_table", "to_json"]


def grid(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Grid:
    """A table of text; a head that ends in `#` is that of a column of numbers."""
    columns = tuple(Column(head.rstrip("#"), head.endswith("#")) for head in heads)
    return Grid(title, columns, tuple(tuple(row) for row in rows))


def collected(found: Collected, rejected: Sequence[Rejected]) -> Grid:
    """What each source brought; `rejected` are those that this run put into quarantine."""
    heads = ("source", "read#", "new#", "known#", "repeated#", "rejected#", "masked#")
    rows = [
        (
            name,
            *(number(n) for n in (one.read, one.new, one.known, one.repeated)),
            counts(_reasons(rejected, name)) if rejected else number(one.broken),
            counts(one.masked),
        )
        for name, one in found.sources.items()
    ]
    return grid("Collected", heads, rows)


def collected_json(found: Collected, rejected: Sequence[Rejected]) -> dict[str, Any]:
    """The same for scripts, by source."""
    return {
        name: {**to_json(one), "reasons": _reasons(rejected, name)} for name, one in found.sources.items()
    }


def status(pairs: Sequence[PairStatus]) -> Grid:
    """The circle of every (task, channel)."""
    return status_grid([_figures(pair) for pair in pairs])


def status_json(pair: PairStatus) -> dict[str, Any]:
    """One (task, channel) for scripts."""
    release, adapter, judged = pair.serves, pair.adapter, pair.judged
    return {
        "task": pair.task,
        "channel": pair.channel,
        "rows": pair.rows,
        "new": pair.new,
        "unlabelled": pair.unlabelled,
        "rejected": dict(pair.rejected),
        "masked": dict(pair.masked),
        "train": pair.train,
        "test": pair.test,
        "serves": _serves(pair),
        "adapter": adapter.id if adapter else None,
        "release": release.id if release else None,
        "since": release.at.isoformat() if release else None,
        "bytes": adapter.size if adapter else None,
        "accuracy": _accuracy(judged),
        "answers": pair.answers,
        "feedback_waiting": pair.feedback_waiting,
    }


def turns_lines(found: TurnsStatus) -> list[str]:
    """What the flywheel did and will do, the line for all of it first."""
    told = lines(found.last) if found.last else []
    more = [f"And {len(told) - MOST} more: headrace status --json"] if len(told) > MOST else []
    return [found.sentence, *(f"  {line}" for line in told[:MOST]), *(f"  {line}" for line in more)]


def turns_json(found: TurnsStatus) -> dict[str, Any]:
    """The same for scripts, the report of the last turn whole."""
    return {
        "sentence": found.sentence,
        "last": found.last.to_json() if found.last else None,
        "began": to_json(found.began),
        "failed": found.failed or None,
        "planned": to_json(found.planned),
    }


def judged(found: Mapping[str, Judged]) -> list[Grid]:
    """An adapter's figures by channel, then each channel's weakest classes and largest confusions.

    `decisions` is the most that one of the rows has served.
    """
    heads = ("channel", "held-out rows#", "decisions#", "accuracy#", "macro F1#", "calibration error#")
    rows = [
        (
            channel,
            number(one.judgement.n),
            number(one.case.served),
            *(
                estimate(figure)
                for figure in (
                    one.judgement.accuracy,
                    one.judgement.macro_f1,
                    one.judgement.calibration_error,
                )
            ),
        )
        for channel, one in found.items()
    ]
    grids = [grid("Judged on held-out rows, with 95 % intervals", heads, rows)]
    for channel, one in found.items():
        grids += _weak(channel, one.judgement)
    return grids


def judged_json(adapter: Adapter, found: Mapping[str, Judged]) -> dict[str, Any]:
    """All figures of an adapter by channel."""
    return {
        "adapter": adapter.id,
        "task": adapter.task,
        "channels": {
            channel: {**one.judgement.to_json(), "decisions": one.case.served}
            for channel, one in found.items()
        },
    }


def pairs(found: Sequence[PairTurn]) -> Grid:
    """What was decided for each (task, channel), with accuracy before and after."""
    heads = ("channel", "adapter", "released", "before#", "after#")
    rows = [
        (
            f"{one.channel}\n{one.task}",
            short(one.challenger.id) if one.challenger else "–",
            "yes" if one.released else "no",
            estimate(one.before.accuracy if one.before else None),
            estimate(one.after.accuracy if one.after else None),
        )
        for one in found
    ]
    return grid("Decisions", heads, rows)


def sentences(found: Sequence[PairTurn]) -> list[str]:
    """The gate's sentence for each (task, channel)."""
    return [f"{one.task}/{one.channel}: {one.message}" for one in found]


def pair_json(one: PairTurn) -> dict[str, Any]:
    """One decision for scripts."""
    return {
        "task": one.task,
        "channel": one.channel,
        "released": one.released,
        "message": one.message,
        "adapter": one.challenger.id if one.challenger else None,
        "before": _accuracy(one.before),
        "after": _accuracy(one.after),
    }


def turn_json(turn: Turn) -> dict[str, Any]:
    """A turn for scripts."""
    return {
        "turn": turn.id,
        "absorbed": to_json(turn.absorbed),
        "cleaned": to_json(turn.cleaned),
        "pairs": [pair_json(one) for one in turn.pairs],
        "report": turn.report.to_json() if turn.report else None,
    }


def adapter_json(adapter: Adapter) -> dict[str, Any]:
    """What was trained, for scripts."""
    return {
        "id": adapter.id,
        "task": adapter.task,
        "channel": adapter.channel,
        "base": adapter.base,
        "labels": list(adapter.labels),
        "bytes": adapter.size,
        "seconds": adapter.seconds,
        "at": adapter.at.isoformat(),
        "lineage": to_json(adapter.lineage),
    }


def pieces(found: Mapping[str, int]) -> str:
    """Counts as a phrase, largest first: `12 duplicate, 3 empty`."""
    ordered = sorted(((n, name) for name, n in found.items() if n), key=lambda part: (-part[0], part[1]))
    return ", ".join(f"{number(n)} {name}" for n, name in ordered)


def _reasons(rejected: Sequence[Rejected], source: str) -> dict[str, int]:
    return dict(Counter(one.reason for one in rejected if one.source == source))


def _weak(channel: str, judgement: Judgement) -> list[Grid]:
    held = [row for row in judgement.classes if row.support]
    weakest = sorted(held, key=lambda row: (row.f1, row.label))[:WEAKEST]
    confusions = judgement.confusions(WEAKEST)
    heads = ("label", "precision#", "recall#", "F1#", "rows#")
    found = []
    if any(row.f1 < 1 for row in weakest):
        found.append(grid(f"{channel}: weakest classes", heads, [_class(row) for row in weakest]))
    if confusions:
        rows = [(one.gold, one.answered, number(one.count)) for one in confusions]
        found.append(grid(f"{channel}: largest confusions", ("right label", "answered", "rows#"), rows))
    return found


def _class(row: ClassRow) -> tuple[str, ...]:
    shares = (f"{100 * share:.1f} %" for share in (row.precision, row.recall, row.f1))
    return (row.label, *shares, number(row.support))


def _figures(pair: PairStatus) -> StatusFigures:
    return StatusFigures(
        task=pair.task,
        channel=pair.channel,
        came_in=pair.rows,
        clean=pair.train + pair.test,
        waits=pair.new,
        serves=_serves(pair),
        adapter=pair.adapter.id if pair.adapter else "",
        accuracy=pair.judged.accuracy if pair.judged else None,
        feedback_waiting=pair.feedback_waiting,
    )


def _serves(pair: PairStatus) -> Any:
    if pair.adapter is None:
        return "not yet"
    return "own" if pair.adapter.channel else "shared"


def _accuracy(judgement: Judgement | None) -> dict[str, float] | None:
    found: Estimate | None = judgement.accuracy if judgement else None
    return found.to_json() if found and found.n else None
