"""The widget's routes on a real server over a real store, the desk's neighbours pretended; and a client."""

from __future__ import annotations

import http.client
import itertools
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from support_stand import RECIPE, PretendGuarantee, PretendWriter, Stand, fill

from headrace.project import Project
from headrace.web.assembly import assembled
from headrace.web.customers import Customers
from headrace.web.server import background
from headrace.web.support import SupportService

SHOP, PARTNER = "https://shop.example", "https://partner.example"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Got:
    """A response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[tuple[str, Any]]:
        """The events of a stream that has ended."""
        found = []
        for event in self.body.decode().split("\n\n"):
            lines = dict(line.split(": ", 1) for line in event.splitlines() if not line.startswith(":"))
            if lines:
                found.append((lines["event"], json.loads(lines["data"])))
        return found

    def event(self, name: str) -> Any:
        """The data of the first event of a name."""
        return next(data for event, data in self.events if event == name)


@dataclass
class Visitor:
    """A page of an origin with a key; each has an address of its own, which the trusted proxy names."""

    url: str
    key: str
    origin: str | None = SHOP
    address: str = field(default_factory=lambda: f"198.51.{(n := next(_numbers)) // 250}.{n % 250 + 1}")
    conversation: str = ""
    secret: str = ""

    def send(self, method: str, path: str, body: object = None, **headers: str | None) -> Got:
        """One request; a header given as None is left out."""
        connection, _ = self.sent(method, path, body, **headers)
        got = connection.getresponse()
        found = Got(got.status, {k.lower(): v for k, v in got.getheaders()}, got.read())
        connection.close()
        return found

    def sent(
        self, method: str, path: str, body: object = None, **headers: str | None
    ) -> tuple[http.client.HTTPConnection, Mapping[str, str]]:
        """A request whose response the caller reads."""
        named: dict[str, str | None] = {
            "Authorization": f"Bearer {self.key}",
            "Origin": self.origin,
            "X-Forwarded-For": self.address,
            "Content-Type": None if body is None else "application/json",
            "Headrace-Secret": self.secret or None,
        }
        named |= {name.replace("_", "-"): value for name, value in headers.items()}
        kept = {name: value for name, value in named.items() if value is not None}
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=20)
        raw = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        connection.request(method, path, raw, kept)
        return connection, kept

    def begin(self, language: str = "en") -> Visitor:
        """Begin a conversation."""
        got = self.send("POST", "/widget/v1/conversations", {"language": language})
        assert got.status == 201, got.body
        self.conversation, self.secret = got.json["conversation"], got.json["secret"]
        return self

    def at(self, part: str) -> str:
        """The path of a part of the conversation."""
        return f"/widget/v1/conversations/{self.conversation}/{part}"

    def say(self, text: str, name: str = "") -> Got:
        """Say something; the stream is read to its end."""
        return self.send(
            "POST", self.at("messages"), {"id": name or f"message-{next(_numbers)}", "text": text}
        )


@dataclass
class Served:
    """A running server and what stands behind it."""

    url: str
    stand: Stand
    keys: dict[str, str]

    def visitor(self, channel: str = "shop", origin: str | None = SHOP) -> Visitor:
        """A page with the public key of a channel."""
        return Visitor(self.url, self.keys[channel], origin)


@contextmanager
def served(
    folder: Path,
    *,
    guarantee: PretendGuarantee | None = None,
    writer: PretendWriter | None = None,
    origin: str = SHOP,
) -> Iterator[Served]:
    """A server whose `shop`, on pages of `origin`, and `partner` are answered, `silent` is not."""
    recipe = RECIPE
    for name, listed in (("shop", origin), ("partner", PARTNER), ("silent", SHOP)):
        recipe = recipe.replace(f"  {name}: {{", f"  {name}: {{origins: [{listed!r}], ")
    Project.init(folder, recipe=recipe + "serve: {proxies: [127.0.0.1]}\n").close()
    project = Project(folder)
    fill(project)
    keys = {name: project.new_key(name, "public")[1] for name in ("shop", "partner", "silent")}
    keys["secret"] = project.new_key("shop")[1]
    project.close()
    stand = Stand(folder, guarantee or PretendGuarantee(), writer)
    with assembled(stand.project) as service:
        customers = Customers(service, SupportService(stand.desk))
        with background(service, parts=[customers]) as url:
            yield Served(url, stand, keys)
    stand.project.close()
