"""The nouns of the loop: a row comes in, an adapter is made, released, answers, and hears what was wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from headrace.records.making import Json

Split = Literal["train", "validation", "test"]
Origin = Literal["source", "feedback", "owner"]
Verdict = Literal["right", "wrong", "correction"]
FeedbackState = Literal["counts", "accepted", "agreed", "held", "undone"]
COUNTING: tuple[FeedbackState, ...] = ("counts", "accepted", "agreed")
"""The states of feedback that counts: by itself, by the owner's word though it was held, or as others agree."""
Stage = Literal["shadow", "canary", "watch"]
KeyKind = Literal["secret", "public"]


@dataclass(frozen=True, slots=True)
class Channel:
    """Where users are: own site, a partner, a messenger, a community. Stands in headrace.yaml."""

    name: str
    tasks: tuple[str, ...]
    language: str = ""
    owner: str = ""
    daily_quota: int | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """A channel's key. Only its SHA-256 is stored; `hint` is the part that may be shown again.

    A `secret` key goes from server to server. A `public` one stands in a web page: it opens the widget's routes
    alone, from the origins that its channel allows.
    """

    id: str
    channel: str
    digest: str
    hint: str
    created: datetime
    revoked: datetime | None = None
    kind: KeyKind = "secret"


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that came in. Its id is the hash of channel, task, source and content: twice adds nothing.

    `place` names file and line, or query and key; `masked` counts the private details replaced in `text`.
    """

    id: str
    channel: str
    task: str
    source: str
    text: str
    label: str | None
    split: Split | None
    place: str
    at: datetime
    origin: Origin = "source"
    masked: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row in quarantine, with the reason; `content` is what came in, private details masked."""

    id: str
    channel: str
    task: str
    source: str
    place: str
    content: str
    label: str | None
    reason: str
    detail: str
    at: datetime
    row: str | None = None
    restored: datetime | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """A clean row with a label. Its id is its row's; `split` is fixed for good.

    `same_as` names the first of its near-duplicates, whose split it shares.
    """

    id: str
    channel: str
    task: str
    text: str
    label: str
    split: Split
    origin: Origin
    at: datetime
    same_as: str | None = None
    golden: bool = False


@dataclass(frozen=True, slots=True)
class Adapter:
    """Weights of one (task, channel) at one version; `channel` None is the task's shared adapter.

    `files` maps names to the SHA-256 of artifacts; `lineage` says what it was made from: method, seed,
    digest of its examples, recipe, parent.
    """

    id: str
    task: str
    channel: str | None
    base: str
    labels: tuple[str, ...]
    files: Mapping[str, str]
    lineage: Json
    size: int
    seconds: float
    at: datetime
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What an adapter scored on the held-out examples of one channel, with intervals."""

    id: str
    adapter: str
    task: str
    channel: str
    figures: Json
    at: datetime


@dataclass(frozen=True, slots=True)
class Release:
    """Which adapter serves which (task, channel) since when, by what evidence; append-only."""

    id: str
    task: str
    channel: str
    adapter: str
    at: datetime
    evidence: Json
    kind: Literal["release", "rollback"] = "release"
    previous: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What was said to whom, by which adapter, how sure; `because` names the correction that decided.

    `person` is a pseudonym of the end user where the channel named one. Where a trial's challenger answered,
    `release` is the trial's id.
    """

    id: str
    channel: str
    task: str
    text: str
    label: str
    confidence: float
    release: str
    adapter: str
    at: datetime
    because: str | None = None
    person: str | None = None


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a user said of an answer. A correction carries the right label.

    `person` is a pseudonym of who said it, `key` the id of the key through which it came. Feedback counts in
    the states `COUNTING`; that is `held` or `undone` counts for nothing, and `reason` says why. `chance` is what
    the adapter gave the label then.
    """

    id: str
    answer: str
    channel: str
    task: str
    text: str
    verdict: Verdict
    label: str | None
    at: datetime
    person: str | None = None
    used: bool = False
    key: str | None = None
    state: FeedbackState = "counts"
    reason: str | None = None
    chance: float | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """A challenger beside the champion of one (task, channel), on rows as they come.

    In `shadow` the champion's answer is sent, in `canary` the challenger's to some users; `watch` compares a
    new champion with the last one, which is then the `challenger`. `number` counts the pair's trials, from 1.
    `salt` decides which users and rows are drawn. `outcome` says how it ended.
    """

    id: str
    task: str
    channel: str
    champion: str
    challenger: str
    stage: Stage
    number: int
    salt: str
    began: datetime
    settings: Json
    ended: datetime | None = None
    outcome: str | None = None
    evidence: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Shadow:
    """The answer that a trial's other adapter gave to a question, and that was not sent.

    `differs` from what was sent; `drawn` for audit by a coin of the recorded `rate`, thrown before the answers
    were known.
    """

    answer: str
    trial: str
    adapter: str
    label: str
    confidence: float
    differs: bool
    drawn: bool
    rate: float
    at: datetime


@dataclass(frozen=True, slots=True)
class Audit:
    """The right label of an answer that was drawn for audit, as somebody whom the owner trusts gave it."""

    answer: str
    label: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Event:
    """A line of history that is not a release: a turn, a refusal, a key revoked."""

    id: str
    kind: str
    task: str | None
    channel: str | None
    message: str
    evidence: Json
    at: datetime
