"""The figures that tables, pages and plots are made of; whoever ran the turn fills them in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from datetime import datetime
from typing import Any, Literal

from headrace.evaluation.intervals import Estimate
from headrace.evaluation.judgement import Judgement

Serves = Literal["own", "shared", "not yet"]


@dataclass(frozen=True)
class ChannelFigures:
    """One (task, channel) over a turn; `before` is the accuracy of what served until then.

    `rejected` counts by reason, `masked` by kind of private detail; `decision` is the gate's sentence.
    """

    task: str
    channel: str
    rows_in: int
    examples: int
    rejected: Mapping[str, int] = field(default_factory=dict)
    masked: Mapping[str, int] = field(default_factory=dict)
    serves: Serves = "not yet"
    adapter: str = ""
    method: str = ""
    before: Estimate | None = None
    after: Estimate | None = None
    seconds: float = 0.0
    size_bytes: int = 0
    answers: int = 0
    feedback_waiting: int = 0
    decision: str = ""


@dataclass(frozen=True)
class StatusFigures:
    """Where the circle stands for one (task, channel); `waits` rows came in and are not clean yet."""

    task: str
    channel: str
    came_in: int
    clean: int
    waits: int
    serves: Serves
    adapter: str
    accuracy: Estimate | None
    feedback_waiting: int


@dataclass(frozen=True)
class Step:
    """A stretch of a turn; `start` is in seconds since the turn began."""

    name: str
    start: float
    seconds: float
    task: str = ""
    channel: str = ""


@dataclass(frozen=True)
class JudgedFigures:
    """An adapter's judgement on the held-out rows of one (task, channel)."""

    task: str
    channel: str
    adapter: str
    judgement: Judgement


@dataclass(frozen=True)
class MemoryFigures:
    """What corrections changed on one channel, before any training.

    Of `corrected` questions `changed_corrected` were answered with the correction when asked again, and so on
    for their `rewordings`; of the `untouched` questions and of those of the `other_channel` of the task, the
    answers that changed at all. `wrong_asked` counts the wrong answers seen, `rewordings_right` the rewordings
    answered right in the end, those included that were right before.
    """

    channel: str
    corrected: int
    wrong_asked: int
    changed_corrected: int
    rewordings: int
    changed_rewordings: int
    untouched: int
    changed_untouched: int
    other_channel: int
    changed_other_channel: int
    milliseconds_median: float
    rewordings_right: int = 0


@dataclass(frozen=True)
class ExampleFigures:
    """One correction shown whole: what was asked, answered, said to be right, and answered then."""

    task: str
    channel: str
    question: str
    answered: str
    correction: str
    then: str
    rewording: str = ""
    rewording_then: str = ""
    milliseconds: float = 0.0


@dataclass(frozen=True)
class TurnFigures:
    """One turn of the flywheel. `requests` and `failures` are those of a client that asked all through it."""

    turn: str
    started: datetime
    seconds: float
    channels: tuple[ChannelFigures, ...]
    steps: tuple[Step, ...] = ()
    judged: tuple[JudgedFigures, ...] = ()
    requests: int = 0
    failures: int = 0


@dataclass(frozen=True)
class DemoFigures:
    """The whole demo: its turns in order, what corrections did between them, and the spoilt challenger.

    `spoilt` is the gate's sentence on a challenger made bad on purpose; `notes` are sentences for the reader.
    """

    project: str
    seed: int
    at: datetime
    seconds: float
    turns: tuple[TurnFigures, ...]
    memory: tuple[MemoryFigures, ...] = ()
    example: ExampleFigures | None = None
    spoilt: str = ""
    machine: str = ""
    command: str = "headrace demo"
    notes: tuple[str, ...] = ()


def to_json(figures: Any) -> Any:
    """Any of the figures as JSON values: objects, lists, numbers and ISO times."""
    if isinstance(figures, Estimate | Judgement):
        return figures.to_json()
    if is_dataclass(figures) and not isinstance(figures, type):
        return {name: to_json(getattr(figures, name)) for name in figures.__dataclass_fields__}
    if isinstance(figures, datetime):
        return figures.isoformat()
    if isinstance(figures, Mapping):
        return {str(key): to_json(value) for key, value in figures.items()}
    if isinstance(figures, Sequence) and not isinstance(figures, str):
        return [to_json(value) for value in figures]
    return figures
