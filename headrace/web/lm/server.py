"""A named model -> a listening endpoint, until SIGINT or SIGTERM. What needs torch is loaded here, by name."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from headrace import plugins
from headrace.errors import InputError
from headrace.web.lm.app import Endpoint, Model, create_app
from headrace.web.lm.line import Line
from headrace.web.server import Server, config_of, is_loopback, listening, url_of

PORT = 8421


def serve(
    model: Model,
    *,
    host: str = "127.0.0.1",
    port: int = PORT,
    key: str | None = None,
    waiting: int = 8,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until a signal; `ready` is told the base URL once it listens.

    Raises InputError where the address is open to others and there is no `key`, or the port is in use.
    """
    refuse_open_without_key(host, key)
    line = Line(waiting)
    try:
        with listening(host, port) as bound:
            told = (lambda: ready(f"{url_of(bound)}/v1")) if ready else None
            Server(config_of(create_app(Endpoint(model, line, key))), told).run(sockets=[bound])
    finally:
        line.close()


def load(name: str, cache: Path, threads: int | None = None) -> Model:
    """The packaged model, a folder's, or the hub's; raises MissingExtra without headrace[lm]."""
    module = plugins.require("headrace.models.tasks.generate_torch", verb="headrace lm", extra="lm")
    found: Model = module.Generator.load(name, cache, threads=threads)
    return found


def refuse_open_without_key(host: str, key: str | None) -> None:
    """Raise InputError where `host` can be reached from other machines and there is no key."""
    if key is None and not is_loopback(host):
        raise InputError(
            f"{host} is open to other machines, and there is no key.",
            field="host",
            cure="Name an environment variable that holds one with --key-env, or serve on 127.0.0.1.",
        )


def key_of(variable: str | None) -> str | None:
    """The key in an environment variable; raises InputError where it is empty or shorter than 16 characters."""
    if variable is None:
        return None
    found = os.environ.get(variable, "").strip()
    if len(found) < 16:
        raise InputError(
            f"{variable} holds no key of 16 characters or more.",
            field="key-env",
            cure=f"Set it, for example: export {variable}=$(openssl rand -hex 24)",
        )
    return found
