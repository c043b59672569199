"""What a turn did: what came in, was learned, released, refused and rolled back, what drifted, and the seconds.

The report is stored with its turn; `headrace status`, the page, JSON and alerts are made of it alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from headrace.evaluation.intervals import Estimate
from headrace.records import Release
from headrace.reports.drift import AccuracyDrift, InputDrift
from headrace.reports.grids import number, short
from headrace.store import Store, TurnState
from headrace.store.windows import Marks, Pair, Windows, pairs

Outcome = Literal["released", "trial", "refused", "unchanged", "failed"]


@dataclass(frozen=True)
class CameIn:
    """What one (task, channel) brought since the turn before; `feedback` counts by verdict.

    `held` of the feedback wait for a person to judge, and count for nothing until then.
    """

    task: str
    channel: str
    rows: int = 0
    examples: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)
    feedback: Mapping[str, int] = field(default_factory=dict)
    held: int = 0


@dataclass(frozen=True)
class Learned:
    """An adapter that the turn trained; of its `rows` training rows `corrections` came from users."""

    adapter: str
    task: str
    channel: str | None
    method: str
    rows: int
    corrections: int
    seconds: float
    size: int


@dataclass(frozen=True)
class Decided:
    """What was decided for one (task, channel), with the accuracy before and after."""

    task: str
    channel: str
    outcome: Outcome
    reason: str
    adapter: str = ""
    before: Estimate | None = None
    after: Estimate | None = None


@dataclass(frozen=True)
class RolledBack:
    """An earlier adapter that serves again since `at`; where a watch took it back, that was told at once."""

    task: str
    channel: str
    adapter: str
    at: datetime
    reason: str = ""
    watched: bool = False

    @property
    def sentence(self) -> str:
        """Plain words."""
        when = f"{self.at:%Y-%m-%d %H:%M} UTC"
        told = f"{self.task}/{self.channel}: rolled back to {short(self.adapter)} at {when}."
        return f"{told} {self.reason}".strip()


@dataclass(frozen=True)
class Stage:
    """A stretch of a turn: `start` in seconds since it began, and how long it took."""

    name: str
    start: float
    seconds: float


@dataclass(frozen=True)
class TurnReport:
    """One turn as it ended. `continued` says that an earlier attempt of it was cut off."""

    turn: str
    started: datetime
    finished: datetime
    seconds: float
    continued: bool = False
    came_in: tuple[CameIn, ...] = ()
    learned: tuple[Learned, ...] = ()
    decided: tuple[Decided, ...] = ()
    rolled_back: tuple[RolledBack, ...] = ()
    inputs: tuple[InputDrift, ...] = ()
    accuracy: tuple[AccuracyDrift, ...] = ()
    stages: tuple[Stage, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A JSON object of everything."""
        found: dict[str, Any] = _adapter().dump_python(self, mode="json")
        return found

    @classmethod
    def of(cls, state: TurnState) -> TurnReport | None:
        """The report that was stored with a turn; None where there is none that this version reads."""
        try:
            return _adapter().validate_python(state.state["report"])
        except (KeyError, ValidationError):
            return None

    def count(self, outcome: Outcome) -> int:
        """How many (task, channel) had this outcome."""
        return sum(one.outcome == outcome for one in self.decided)

    @property
    def drifted(self) -> tuple[InputDrift | AccuracyDrift, ...]:
        """The alarms: inputs and accuracies that have changed."""
        found: list[InputDrift | AccuracyDrift] = [one for one in self.inputs if one.alarm]
        return (*found, *(one for one in self.accuracy if one.alarm))

    @property
    def sentence(self) -> str:
        """One line for people: what came in, what was learned, what was decided."""
        drifted = [f"drift: {number(len(self.drifted))}"] if self.drifted else []
        back = [f"rolled back {number(len(self.rolled_back))}"] if self.rolled_back else []
        parts = [self._in(), self._learned(), self._decisions(), *back, *drifted]
        return "; ".join(part for part in parts if part) + f"; {self.seconds:,.0f} s."

    def _in(self) -> str:
        said = sum((Counter(one.feedback) for one in self.came_in), Counter[str]())
        parts = (
            _counted(sum(one.rows for one in self.came_in), "row"),
            _counted(said["correction"], "correction"),
            _counted(said.total() - said["correction"], "other verdict"),
            _counted(sum(one.held for one in self.came_in), "held", "held"),
        )
        return ", ".join(part for part in parts if part) or "nothing new came in"

    def _learned(self) -> str:
        found = _counted(len(self.learned), "adapter")
        return f"learned {found}" if found else "learned nothing new"

    def _decisions(self) -> str:
        named: dict[Outcome, str] = {
            "released": "released",
            "trial": "on trial",
            "refused": "refused",
            "failed": "failed",
        }
        found = {outcome: self.count(outcome) for outcome in named}
        said = [f"{words} {number(found[outcome])}" for outcome, words in named.items() if found[outcome]]
        return ", ".join(said) + f" of {number(len(self.decided))}" if said else "no release changed"


@cache
def _adapter() -> TypeAdapter[TurnReport]:
    return TypeAdapter(TurnReport)


def last_report(store: Store) -> TurnReport | None:
    """The report of the newest turn that ended and has one."""
    found = (TurnReport.of(state) for state in store.turns.list(20) if state.finished)
    return next((report for report in found if report is not None), None)


def came_in(windows: Windows, since: Marks, until: Marks) -> tuple[CameIn, ...]:
    """What each (task, channel) brought between two moments; those that brought nothing are left out."""
    rows, examples = windows.rows(since, until), windows.examples(since, until)
    rejected, feedback = windows.rejected(since, until), windows.feedback(since, until)
    return tuple(
        CameIn(
            *pair,
            rows=rows.get(pair, 0),
            examples=examples.get(pair, 0),
            rejected=_of(pair, rejected),
            feedback=_of(pair, feedback),
            held=sum(n for key, n in feedback.items() if key[:2] == pair and key[3] == "held"),
        )
        for pair in pairs(rows, examples, rejected, feedback)
    )


def rolled_back(releases: Iterable[Release]) -> tuple[RolledBack, ...]:
    """The rollbacks among releases."""
    return tuple(
        RolledBack(
            one.task,
            one.channel,
            one.adapter,
            one.at,
            str(one.evidence.get("reason", "")),
            one.evidence.get("way") == "watch",
        )
        for one in releases
        if one.kind == "rollback"
    )


def named(pair: Sequence[str]) -> str:
    """A (task, channel) as people write it."""
    return "/".join(pair)


def lines(report: TurnReport) -> list[str]:
    """The report as sentences, the decisions first; what went on as it was is not told."""
    told = [
        f"{named((one.task, one.channel))}: {one.reason}"
        for one in report.decided
        if one.outcome != "unchanged"
    ]
    told += [one.sentence for one in report.rolled_back]
    return told + [one.sentence for one in report.drifted]


def _counted(n: int, one: str, many: str = "") -> str:
    """A count with its noun; nothing for none."""
    return f"{number(n)} {one if n == 1 else many or one + 's'}" if n else ""


def _of(pair: Pair, counts: Mapping[Any, int]) -> dict[str, int]:
    """The counts of one pair by the third part of their keys."""
    found: Counter[str] = Counter()
    for key, n in counts.items():
        if key[:2] == pair:
            found[key[2]] += n
    return dict(found)
