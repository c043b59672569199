"""Verbs on channels and their keys, for the project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from headrace import recipe as recipes
from headrace.channels.keys import new_key
from headrace.data.open_project import OpenProject
from headrace.errors import Conflict
from headrace.recipe import RECIPE
from headrace.records import Channel, Key, KeyKind


class ChannelVerbs:
    """Where users are, and the keys with which they ask."""

    def channels(self: OpenProject) -> list[Channel]:
        """The channels of the recipe."""
        return [self.recipe.channel(name) for name in self.recipe.channels]

    def add_channel(
        self: OpenProject,
        name: str,
        tasks: Sequence[str],
        *,
        language: str = "",
        owner: str = "",
        daily_quota: int | None = None,
    ) -> Channel:
        """Write a channel into headrace.yaml; raises Conflict, RecipeError."""
        given = {"tasks": list(tasks), "language": language, "owner": owner, "daily_quota": daily_quota}
        _edit(self, "channels", name, {key: value for key, value in given.items() if value})
        return self.recipe.channel(name)

    def remove_channel(self: OpenProject, name: str) -> None:
        """Take a channel out of headrace.yaml and revoke its keys; its rows and history stay."""
        for source in [s for s, found in self.recipe.sources.items() if found.channel == name]:
            raise Conflict(
                f"the source {source!r} brings rows to channel {name!r}.",
                where=RECIPE,
                cure="Take that source out first.",
            )
        _edit(self, "channels", name, None)
        for key in self.store.keys.list(name):
            self.store.keys.revoke(key.id, self.clock())

    def new_key(self: OpenProject, channel: str, kind: KeyKind = "secret") -> tuple[Key, str]:
        """A new key of a channel and its secret, which is never shown again; a `public` one is for web pages."""
        self.recipe.channel(channel)
        return new_key(self.store.keys, channel, kind, clock=self.clock, ids=self.ids)

    def keys(self: OpenProject, channel: str | None = None) -> list[Key]:
        """Keys, revoked ones included."""
        return self.store.keys.list(channel)

    def revoke_key(self: OpenProject, key_id: str) -> Key:
        """Switch a key off for good."""
        return self.store.keys.revoke(key_id, self.clock())


def _edit(project: OpenProject, section: str, name: str, value: Mapping[str, object] | None) -> None:
    """Set or remove an entry of headrace.yaml; what was made of the recipe is made anew."""
    recipes.edit(project.folder / RECIPE, section, name, value)
    for made in ("recipe", "flywheel"):
        project.__dict__.pop(made, None)
