"""The way back: an earlier adapter serves again. Nothing is deleted; a rollback is one more release."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.errors import Conflict, NotFound
from headrace.records import Clock, IdMaker, Json, Release, random_id, utc_now
from headrace.release.promote import Also, complete
from headrace.store import Store


def rollback(
    store: Store,
    task: str,
    channel: str,
    *,
    to: str | None = None,
    evidence: Json | None = None,
    also: Also = lambda connection, releases: None,
    clock: Clock = utc_now,
    ids: IdMaker = random_id,
) -> Release:
    """Let the adapter that served `channel` before the present one serve again, or that of `to`.

    Said again it walks one release further back. `to` is the id of an earlier release of this pair or of an
    adapter that served it. `evidence` says why; `also` is called in the transaction of the release, and what it
    raises undoes it. Raises NotFound where there is nothing to go back to, Conflict where `to` serves
    already, ArtifactError where a file of the earlier adapter is missing.
    """
    past = store.history.releases(task, channel, limit=None)
    if not past:
        raise NotFound(f"nothing was ever released for {task!r} on {channel!r}.", cure="Run: headrace train")
    by_id = {release.id: release for release in past}
    target = _before(past[0], by_id) if to is None else _named(to, past)
    if target.adapter == past[0].adapter:
        raise Conflict(
            f"the adapter {target.adapter} serves {task!r} on {channel!r} already.",
            cure="See: headrace history",
        )
    complete(store, store.history.adapter(target.adapter))
    why = {**(evidence or {}), "from": past[0].id, "to": origin(target, by_id).id}
    made = Release(ids("rel"), task, channel, target.adapter, clock(), why, "rollback", past[0].id)
    with store.transaction() as connection:
        store.history.add_in(connection, made)
        also(connection, [made])
    return made


def origin(release: Release, by_id: Mapping[str, Release]) -> Release:
    """The release that `release` is, or that it went back to."""
    while release.kind == "rollback":
        release = by_id[str(release.evidence["to"])]
    return release


def _before(serving: Release, by_id: Mapping[str, Release]) -> Release:
    first = origin(serving, by_id)
    if first.previous is None:
        raise NotFound(
            f"nothing was released before the adapter that serves {first.task!r} on {first.channel!r}.",
            cure="Name an earlier or later one: headrace rollback --to RELEASE. See: headrace history",
        )
    return origin(by_id[first.previous], by_id)


def _named(wanted: str, past: list[Release]) -> Release:
    short = wanted.removeprefix("adp_")
    for release in past:
        begins = len(short) >= 6 and release.adapter.removeprefix("adp_").startswith(short)
        if wanted in (release.id, release.adapter) or begins:
            return release
    known = ", ".join(release.id for release in past[:5])
    raise NotFound(
        f"{past[0].task!r} on {past[0].channel!r} was never served by a release or adapter {wanted!r}.",
        cure=f"The last ones: {known}. See: headrace history",
    )
