"""Channels and their keys; a new key is shown once and stored only as its hash."""

from __future__ import annotations

from starlette.responses import Response

from headrace.errors import InputError
from headrace.records import Key, KeyKind
from headrace.web.console.tables import Column, table
from headrace.web.console.visit import Page, Screen, Visit

COLUMNS: tuple[Column[Key], ...] = (
    Column("key", lambda one: one.id),
    Column("channel", lambda one: one.channel),
    Column("kind", lambda one: one.kind),
    Column("made", lambda one: one.created),
    Column("state", lambda one: one.revoked is not None),
    Column("act"),
)


def show(visit: Visit) -> Response:
    """All channels and keys."""
    return _page(visit)


def new_key(visit: Visit) -> Response:
    """Make a key; its secret stands on this one page and nowhere else."""
    kind: KeyKind = "public" if visit.form.get("kind") == "public" else "secret"
    key, secret = visit.project.new_key(visit.given("channel"), kind)
    return _page(visit, made=key, secret=secret)


def revoke(visit: Visit) -> Response:
    """Switch a key off for good."""
    visit.project.revoke_key(visit.given("id"))
    return visit.go("/channels", "revoked")


def add(visit: Visit) -> Response:
    """Write a channel into the recipe."""
    tasks = [task for task in visit.project.recipe.tasks if visit.form.get(f"task.{task}")]
    if not tasks:
        raise InputError("the channel asks no task.", field="task", cure="Go back and mark at least one.")
    quota = visit.form.get("quota", "").strip()
    if quota and not quota.isdecimal():
        raise InputError("the quota is no number.", field="quota", cure="Write a number, or leave it empty.")
    visit.project.add_channel(
        visit.given("name"),
        tasks,
        language=visit.form.get("language", "").strip(),
        owner=visit.form.get("owner", "").strip(),
        daily_quota=int(quota) if quota else None,
    )
    return visit.go("/channels", "channel_added")


def _page(visit: Visit, made: Key | None = None, secret: str = "") -> Response:
    keys = visit.project.keys()
    return visit.page(
        "channels.html",
        title=visit.say("nav.channels"),
        channels=visit.project.channels(),
        origins={name: one.origins for name, one in visit.project.recipe.channels.items()},
        live={one.channel for one in keys if one.revoked is None},
        table=table(visit, keys, COLUMNS, "-made"),
        tasks=list(visit.project.recipe.tasks),
        made=made,
        secret=secret,
    )


SCREEN = Screen(
    "channels",
    [
        Page("/channels", show),
        Page("/channels/add", add, "POST"),
        Page("/channels/keys", new_key, "POST"),
        Page("/channels/revoke", revoke, "POST"),
    ],
)
