"""A Service -> a listening server: uvicorn on uvloop and httptools, one process, stopped gracefully."""

from __future__ import annotations

import errno
import ipaddress
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from headrace.errors import HeadraceError, InputError
from headrace.store import Store
from headrace.web.api.app import Part, create_app
from headrace.web.protocol import BoundedProtocol
from headrace.web.service import Service

_GRACE = 10  # seconds that requests under way get at the end
_BACKLOG = 2048


def serve(
    service: Service,
    store: Store,
    *,
    host: str,
    port: int,
    ready: Callable[[str], None] | None = None,
    shared: bool = False,
    parts: Sequence[Part] = (),
) -> None:
    """Serve until SIGINT or SIGTERM; `ready` is told the server's URL once it listens.

    A `shared` port is one that other processes listen on too; `parts` are further routes. Raises
    InputError where the port is in use or the address is open to others while no key exists.
    """
    refuse_open_without_keys(store, host)
    with listening(host, port, shared=shared) as bound, _running(service):
        server = Server(_config(service, parts), (lambda: ready(url_of(bound))) if ready else None)
        server.run(sockets=[bound])


@contextmanager
def background(
    service: Service, *, host: str = "127.0.0.1", port: int = 0, parts: Sequence[Part] = ()
) -> Iterator[str]:
    """A server in a thread of this process, for as long as the block runs; gives its URL. Port 0 is any."""
    started = threading.Event()
    with listening(host, port) as bound, _running(service):
        server = Server(_config(service, parts), started.set)
        thread = threading.Thread(target=server.run, args=([bound],), name="headrace-http", daemon=True)
        thread.start()
        while not started.wait(0.05):
            if not thread.is_alive():
                raise HeadraceError("the server did not start.", cure="Its log says why.")
        try:
            yield url_of(bound)
        finally:
            server.should_exit = True
            thread.join()


def refuse_open_without_keys(store: Store, host: str) -> None:
    """Raise InputError where `host` can be reached from other machines and no channel has a key."""
    if not is_loopback(host) and not store.keys.any_live():
        raise InputError(
            f"{host} is open to other machines, and no channel has a key.",
            field="host",
            cure="Run: headrace key new CHANNEL, or serve on 127.0.0.1.",
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address; a name other than localhost is taken to be open."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def listening(host: str, port: int, *, shared: bool = False) -> Iterator[socket.socket]:
    """A bound socket that listens; raises InputError naming the port and the cure."""
    with bound_to(host, port, shared=shared) as bound:
        bound.listen(_BACKLOG)
        yield bound


@contextmanager
def bound_to(host: str, port: int, *, shared: bool = False) -> Iterator[socket.socket]:
    """A bound socket; raises InputError naming the port and the cure.

    Of a `shared` port the kernel gives each process that listens on it its part of the connections.
    """
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, proto)
    except OSError as error:
        raise InputError(
            f"there is no address {host!r} here.", field="host", cure="Try --host 127.0.0.1"
        ) from error
    with bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            bound.bind(address)
        except OSError as error:
            raise _not_bound(error, host, port) from error
        yield bound


def url_of(bound: socket.socket) -> str:
    """The URL at which a bound socket is reached."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Server(uvicorn.Server):
    """uvicorn's server that says when it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None] | None) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        if self._ready is not None:
            self._ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End at SIGINT and SIGTERM without raising them again: after the server there is more to close."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()


@contextmanager
def _running(service: Service) -> Iterator[None]:
    try:
        service.start()
        yield
    finally:
        service.stop()


def _config(service: Service, parts: Sequence[Part]) -> uvicorn.Config:
    return config_of(create_app(service, parts), lives=bool(parts))


def config_of(app: ASGIApp, *, lives: bool = False) -> uvicorn.Config:
    """How every server of ours listens to HTTP; an application that `lives` is told of its begin and end."""
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=BoundedProtocol,
        ws="none",
        lifespan="on" if lives else "off",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE,
    )


def _not_bound(error: OSError, host: str, port: int) -> InputError:
    if error.errno == errno.EADDRINUSE:
        return InputError(
            f"port {port} is in use.",
            field="port",
            cure=f"End what uses it, or serve with --port {port + 1}.",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return InputError(f"port {port} is not yours to take.", field="port", cure="Use --port 8420.")
    return InputError(f"{host!r} is no address of this machine.", field="host", cure="Try --host 127.0.0.1")
