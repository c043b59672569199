"""A console over a real project: every screen has something to show, a customer waits, two users may enter."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from small_project import live_questions, make_project
from starlette.testclient import TestClient
from support_stand import fill

from headrace.project import Project
from headrace.recipe import RECIPE
from headrace.records import Clock, utc_now
from headrace.web.console.access import Access
from headrace.web.console.app import create_console
from headrace.web.console.place import Console

PASSWORD = "correct horse battery"
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
SUPPORT = "\nsupport: {channels: [desk], intent: intent}\n"
LIGHT = """\
name: light
tasks:
  intent: {base: all-MiniLM-L6-v2, labels: [create_key, rollback, quota, install]}
channels:
  desk: {tasks: [intent], language: en}
support: {channels: [desk], intent: intent}
"""


def light(folder: Path, clock: Clock = utc_now) -> Console:
    """A console over a project that has learned nothing yet; made in a moment."""
    Project.init(folder, recipe=LIGHT).close()
    return peopled(Project(folder, clock=clock))


def furnished(folder: Path) -> Console:
    """A console over a project whose flywheel has turned once, with rows, answers, documents and a customer."""
    make_project(folder).close()
    path = folder / RECIPE
    path.write_text(path.read_text("utf-8") + SUPPORT, "utf-8")
    project = Project(folder)
    texts = ["what is this about a key then", "hello my file is odd", "undo it all please now"]
    project.add_rows([{"text": text} for text in texts], channel="desk", task="intent")
    project.add_rows([{"text": ""}], channel="desk", task="intent", source="form")
    project.clean()
    project.turn()
    for question in live_questions()[:12]:
        project.predict([question.text], task="intent", channel="desk")
    said = project.predict(["how do i get another key now"], task="intent", channel="desk")[0]
    project.add_feedback(said.id, "correction", "rollback")
    project.new_key("desk")
    project.revoke_key(project.new_key("forum")[0].id)
    fill(project)
    project.draft("Can I pay by card?", "Yes, in every shop.")
    project.flag_document("doc_quota_en", "the number is out of date")
    console = peopled(project)
    ask(console, "is a key for a partner possible?")
    return console


def peopled(project: Project) -> Console:
    """The console of a project that an owner `olga` and an agent `alan` may enter."""
    console = anew(project)
    console.access.add("olga", "owner", PASSWORD)
    console.access.add("alan", "agent", PASSWORD)
    return console


def anew(project: Project) -> Console:
    """Another console of the project, which has counted no tries yet."""
    return Console(project, Access(project.store, project.clock, project.ids, hasher=CHEAP))


def ask(console: Console, text: str) -> str:
    """A customer asks, and the machine replies or hands over; the conversation's id."""
    begun = console.desk.begin("desk", language="en")
    console.desk.reply(console.desk.receive(begun.conversation.id, text))
    return begun.conversation.id


class Visitor:
    """A browser without a screen: keeps cookies, sends the Origin and the token of the last page with forms."""

    def __init__(self, console: Console, name: str | None = None, **more: Any) -> None:
        self.client = TestClient(
            create_console(console), base_url="http://127.0.0.1:8421", follow_redirects=False
        )
        self.client.headers |= {"origin": "http://127.0.0.1:8421", "accept-language": "en"} | more
        self.token = ""
        if name is not None:
            assert self.post("/login", name=name, password=PASSWORD).status_code == 303

    def get(self, path: str, **headers: str) -> Any:
        """A page; its token is kept."""
        got = self.client.get(path, headers=headers)
        found = re.search(r'name="csrf" value="([^"]*)"', got.text)
        self.token = found[1] if found else self.token
        return got

    def post(self, path: str, **fields: str) -> Any:
        """Send a form."""
        return self.client.post(path, data={"csrf": self.token} | fields)
