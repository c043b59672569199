"""What all screens of one console share: project, access, and customer service's desk and guarantee."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import NamedTuple

from headrace.apps.support.desk import Desk
from headrace.apps.support.guarantee import Guarantee
from headrace.errors import NotFound
from headrace.project import Project
from headrace.recipe import Recipe
from headrace.records import Role
from headrace.web.assembly import Following
from headrace.web.console.access import Access

_SHOWN = 100


class _Service(NamedTuple):
    """Customer service under one recipe."""

    recipe: Recipe
    desk: Desk
    guarantee: Guarantee


@dataclass
class Console:
    """One console over one project; `secure` where it is reached by https, so that cookies go that way alone.

    `explaining` is held by who loads a model to explain an answer: one at a time does.
    """

    project: Project
    access: Access
    secure: bool = False
    following: Following = field(init=False)
    explaining: threading.Lock = field(default_factory=threading.Lock, init=False)
    _service: _Service | None = field(default=None, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __post_init__(self) -> None:
        self.following = Following(self.project)

    @classmethod
    def of(cls, project: Project, *, secure: bool = False) -> Console:
        """The console of a project."""
        return cls(project, Access(project.store, project.clock, project.ids), secure=secure)

    @property
    def serves(self) -> bool:
        """Whether customers of any channel are answered."""
        return bool(self.project.recipe.support.channels)

    @property
    def desk(self) -> Desk:
        """Where persons answer customers; raises NotFound where the recipe names no channel for it."""
        return self._customer_service().desk

    @property
    def guarantee(self) -> Guarantee:
        """What may be answered alone; raises NotFound as `desk` does."""
        return self._customer_service().guarantee

    def look(self) -> None:
        """Follow a recipe that somebody else has changed."""
        before = self.project.recipe
        self.following.look()
        if self.project.recipe is not before:
            self.project.__dict__.pop("flywheel", None)

    def waiting(self) -> int:
        """How many customers wait for a person, at most 100."""
        return len(self.project.store.tickets.list(state="waiting", limit=_SHOWN))

    @property
    def home(self) -> dict[Role, str]:
        """Where each role begins."""
        return {"owner": "/", "agent": "/queue"}

    def _customer_service(self) -> _Service:
        """Desk and guarantee, made anew where the recipe has changed."""
        project, recipe = self.project, self.project.recipe
        if not recipe.support.channels:
            raise NotFound("this project answers no customers yet.", cure="Name channels under support.")
        with self._lock:
            if self._service is None or self._service.recipe is not recipe:
                guarantee = Guarantee(project.store, recipe, project.clock)
                self._service = _Service(recipe, Desk(project, guarantee=guarantee), guarantee)
            return self._service
