"""A console -> a listening server, in a process of its own: uvicorn, until Ctrl-C, or in a thread for a while."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import uvicorn
from starlette.types import ASGIApp

from headrace.errors import HeadraceError, InputError
from headrace.web.console.app import create_console
from headrace.web.console.guard import LOOPBACK
from headrace.web.console.place import Console
from headrace.web.protocol import BoundedProtocol
from headrace.web.server import is_loopback, listening, url_of

_GRACE = 5  # seconds that requests under way get at the end


def serve(
    console: Console, *, host: str, port: int, url: str | None, ready: Callable[[str], None] | None = None
) -> None:
    """Serve until SIGINT or SIGTERM; `ready` is told the address once it listens.

    `url` is where a reverse proxy shows it to browsers. Raises InputError where the port is taken, or the
    address is open to other machines while nobody may log in.
    """
    refuse_open_without_users(console, host)
    app = create_console(console, hosts=hosts_of(host, url))
    with listening(host, port) as bound:
        if ready is not None:
            ready(url or url_of(bound))
        uvicorn.Server(_config(app)).run(sockets=[bound])


@contextmanager
def background(console: Console, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """A console in a thread of this process, for as long as the block runs; gives its URL. Port 0 is any."""
    with listening(host, port) as bound:
        server = uvicorn.Server(_config(create_console(console, hosts=hosts_of(host, None))))
        thread = threading.Thread(target=server.run, args=([bound],), name="headrace-console", daemon=True)
        thread.start()
        while not server.started:
            thread.join(0.02)
            if not thread.is_alive():
                raise HeadraceError("the console did not start.")
        try:
            yield url_of(bound)
        finally:
            server.should_exit = True
            thread.join(_GRACE + 1)


def refuse_open_without_users(console: Console, host: str) -> None:
    """Raise InputError where `host` can be reached from other machines and nobody may log in."""
    if not is_loopback(host) and not console.project.store.users.any():
        raise InputError(
            f"{host} is open to other machines, and the console has no user.",
            field="host",
            cure="Run: headrace user add NAME --role owner, or open it on 127.0.0.1.",
        )


def hosts_of(host: str, url: str | None) -> Collection[str]:
    """The names and addresses by which browsers may call a console that listens on `host`."""
    named = urlsplit(url).hostname if url else None
    return {*LOOPBACK, host, *([named] if named else [])}


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE,
    )
