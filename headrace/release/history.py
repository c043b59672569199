"""The past told: releases, rollbacks and events in the order of time, and what served whom at a moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from headrace.records import Event, Json, Release
from headrace.release.lessons import Lessons, lessons
from headrace.release.sentences import LANGUAGES, explain
from headrace.store import Store


@dataclass(frozen=True, slots=True)
class Line:
    """One line of history; `adapter` is empty where an event names none."""

    at: datetime
    kind: str
    task: str | None
    channel: str | None
    adapter: str
    message: str
    id: str

    def to_json(self) -> dict[str, object]:
        """A JSON object of the columns."""
        return {
            "at": self.at.isoformat(),
            "kind": self.kind,
            "task": self.task,
            "channel": self.channel,
            "adapter": self.adapter,
            "message": self.message,
            "id": self.id,
        }


@dataclass(frozen=True, slots=True)
class Served:
    """What served one (task, channel) at a moment; `own` says whether it was the channel's own adapter.

    `evidence` is the sentence by which it was released; `taught` what it was trained from, where that is known
    and was asked for. Where the clock was set back, `set_back` is what it had said before, and the moment that
    was asked for came more than once: this is what served when it came for the last time.
    """

    task: str
    channel: str
    adapter: str
    own: bool
    since: datetime
    release: str
    evidence: str = ""
    taught: Lessons | None = None
    set_back: datetime | None = None

    def to_json(self) -> dict[str, object]:
        """A JSON object."""
        said = {
            name: getattr(self, name) for name in ("task", "channel", "adapter", "own", "release", "evidence")
        }
        taught = None if self.taught is None else self.taught.to_json()
        back = None if self.set_back is None else self.set_back.isoformat()
        return {**said, "since": self.since.isoformat(), "taught": taught, "set_back": back}


def history(
    store: Store, task: str | None = None, channel: str | None = None, at: datetime | None = None
) -> list[Line]:
    """Releases, rollbacks and events, oldest first, up to and with the moment `at` where given."""
    releases = store.history.releases(task, channel, limit=None)
    events = store.history.events(task, channel, limit=None)
    # Newest first within each: reversed, then sorted by time alone, equal times keep the order of writing.
    lines = [_release(release) for release in reversed(releases)]
    lines += [_event(event) for event in reversed(events)]
    return sorted((line for line in lines if at is None or line.at <= at), key=lambda line: line.at)


def served(
    store: Store,
    task: str | None = None,
    channel: str | None = None,
    at: datetime | None = None,
    *,
    rows: bool = False,
) -> list[Served]:
    """What serves each (task, channel), or served it at the moment `at`; with `rows`, what taught it too.

    The order of releases decides, not what the clock said: see `History.serving`.
    """
    releases = [
        r for r in store.history.serving(at) if task in (None, r.task) and channel in (None, r.channel)
    ]
    adapters = {name: store.history.adapter(name) for name in {release.adapter for release in releases}}
    taught = {name: lessons(store, adapter) for name, adapter in adapters.items()} if rows else {}
    set_back = None if at is None else store.history.set_back(at)
    return [
        Served(
            r.task,
            r.channel,
            r.adapter,
            adapters[r.adapter].channel is not None,
            r.at,
            r.id,
            _release(r).message,
            taught.get(r.adapter),
            set_back,
        )
        for r in releases
    ]


def _release(release: Release) -> Line:
    message = _said(release.evidence)
    if release.kind == "rollback":
        why = str(release.evidence.get("reason", "Rolled back:"))
        message = f"{why} {release.adapter} serves again."
    return Line(release.at, release.kind, release.task, release.channel, release.adapter, message, release.id)


def _said(evidence: Json) -> str:
    """The sentence of the gate where the evidence is one of its own, else the `reason` that came with it."""
    if evidence.get("verdict") in LANGUAGES["en"] and "comparison" in evidence:
        return explain(evidence)
    return str(evidence.get("reason", "Released."))


def _event(event: Event) -> Line:
    adapter = str(event.evidence.get("adapter", ""))
    return Line(event.at, event.kind, event.task, event.channel, adapter, event.message, event.id)
