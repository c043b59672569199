"""A release is written: which adapter serves which (task, channel) from now on, and by what evidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Connection

from headrace.errors import ArtifactError, Conflict
from headrace.records import Adapter, Clock, Event, IdMaker, Json, Release, random_id, utc_now
from headrace.store import Store

Also = Callable[[Connection, Sequence[Release]], None]
GRAPH = ("graph.onnx", "tokenizer.json", "base.json")
HEADS = ("head.safetensors", "rerank.json")
"""What is on the graph: a head answers with labels, a ranking finds passages."""


def promote(
    store: Store,
    task: str,
    channels: Sequence[str] | Mapping[str, Json],
    adapter: str,
    evidence: Json,
    *,
    held_out: Mapping[str, Sequence[str]] | None = None,
    also: Also = lambda connection, releases: None,
    clock: Clock = utc_now,
    ids: IdMaker = random_id,
) -> list[Release]:
    """Let the adapter with the id `adapter` serve `channels` of `task`: all in one transaction, or none.

    Where `channels` maps names to evidence, each one is joined to `evidence`. `held_out` names the rows that a
    release was decided by: it counts as one of the decisions that they may serve. `also` is called with the new
    releases in their transaction; what it raises undoes them. A channel that the adapter
    serves already keeps its release, so that a killed turn may say it twice. Returns each channel's release.
    Raises NotFound where there is no such adapter, Conflict where it belongs to another task or
    channel, ArtifactError where one of its files is missing.
    """
    found = store.history.adapter(adapter)
    _fits(found, task, channels)
    complete(store, found)
    each: Mapping[str, Json] = channels if isinstance(channels, Mapping) else {name: {} for name in channels}
    with store.transaction() as connection:
        now = {release.channel: release for release in store.history.serving() if release.task == task}
        made = {name: now[name] for name in each if name in now and now[name].adapter == adapter}
        fresh = [name for name in each if name not in made]
        for name in fresh:
            previous = now[name].id if name in now else None
            more = {**evidence, **each[name]}
            made[name] = Release(ids("rel"), task, name, adapter, clock(), more, previous=previous)
            store.history.add_in(connection, made[name])
            store.examples.decided_in(connection, (held_out or {}).get(name, ()))
        also(connection, [made[name] for name in fresh])
    return [made[name] for name in each]


def refuse(
    store: Store,
    task: str,
    channel: str | None,
    adapter: str,
    reason: str,
    evidence: Json,
    *,
    held_out: Sequence[str] = (),
    clock: Clock = utc_now,
    ids: IdMaker = random_id,
) -> Event:
    """Write down that an adapter was not released, and why; what serves stays as it is.

    It counts as one of the decisions that the rows `held_out` may serve.
    """
    event = Event(ids("evt"), "refused", task, channel, reason, {"adapter": adapter, **evidence}, clock())
    with store.transaction() as connection:
        store.history.add_in(connection, event)
        store.examples.decided_in(connection, held_out)
    return event


def complete(store: Store, adapter: Adapter) -> None:
    """Raises ArtifactError where a file that serving needs is not named by the adapter, missing or damaged."""
    absent = [name for name in GRAPH if name not in adapter.files]
    absent += [] if any(name in adapter.files for name in HEADS) else [HEADS[0]]
    if absent:
        raise ArtifactError(
            f"the adapter {adapter.id} has no {', '.join(absent)}.",
            cure="It cannot serve. Train and export it again: headrace train",
        )
    for digest in adapter.files.values():
        store.artifacts.get(digest)


def _fits(adapter: Adapter, task: str, channels: Sequence[str] | Mapping[str, Json]) -> None:
    if adapter.task != task:
        raise Conflict(
            f"the adapter {adapter.id} answers {adapter.task!r}, not {task!r}.", cure="Name one of that task."
        )
    strangers = [name for name in channels if adapter.channel not in (None, name)]
    if strangers:
        raise Conflict(
            f"the adapter {adapter.id} belongs to {adapter.channel!r} and cannot serve {strangers[0]!r}.",
            cure="Release the shared adapter there, or one that was trained for it.",
        )
