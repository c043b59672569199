"""The only way in which Headrace fetches a page: http and https, from the internet, within limits.

Each host is resolved once and the address that was checked is dialled, with the host's name in `Host` and TLS;
each redirect is checked anew, three at most; ten seconds in all, five megabytes before and after unpacking. A
page that is refused is never asked for. See `fetch_hosts` for what is refused.
"""

from __future__ import annotations

import http.client
import io
import queue
import re
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

from headrace.data.fetch_hosts import Resolver, Target, checked, resolve, target
from headrace.errors import InputError

HOPS = 3
SECONDS = 10.0
MOST_BYTES = 5_000_000
AGENT = "headrace"
_CHUNK = 1 << 16
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")
_MOVED = frozenset({301, 302, 303, 307, 308})

Connector = Callable[[str, int, float], socket.socket]
"""Connects to an address and port within some seconds."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came back: the URL after redirects, the status, headers by lower-case name, the body unpacked."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes


def connect(address: str, port: int, seconds: float) -> socket.socket:
    """A TCP connection to an address."""
    return socket.create_connection((address, port), timeout=seconds)


class Fetcher:
    """Fetches pages. `allow` are hosts, with their port where it is an odd one, in a network of the owner's own.

    `resolver`, `connector` and `clock` (seconds that only grow) are for tests.
    """

    def __init__(
        self,
        *,
        allow: Collection[str] = (),
        resolver: Resolver = resolve,
        connector: Connector = connect,
        clock: Callable[[], float] = time.monotonic,
        seconds: float = SECONDS,
        most: int = MOST_BYTES,
    ) -> None:
        self._allow, self._resolver, self._connector = frozenset(allow), resolver, connector
        self._clock, self._seconds, self._most = clock, seconds, most

    def get(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        before: Callable[[Target], None] | None = None,
    ) -> Fetched:
        """The page at `url`, whatever its status; `before` hears of every hop and may raise.

        Raises InputError where the address is refused, cannot be reached, or gives too much or too late.
        """
        deadline = _Deadline(self._clock, self._seconds)
        where = target(url)
        for _ in range(HOPS + 1):
            if before is not None:
                before(where)
            found = self._hop(where, headers or {}, deadline)
            location = found.headers.get("location")
            if found.status not in _MOVED or location is None:
                return found
            where = target(_joined(where.url, location))
        raise InputError(
            f"more than {HOPS} redirects.", where=url, field="url", cure="Name the last page itself."
        )

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Send a body to an address under the same rules; the status. No redirect is followed.

        Raises InputError where the address is refused, cannot be reached, or answers too much or too late.
        """
        return self._hop(target(url), headers, _Deadline(self._clock, self._seconds), body).status

    def _hop(
        self, where: Target, headers: Mapping[str, str], deadline: _Deadline, sent: bytes | None = None
    ) -> Fetched:
        try:
            addresses = _in_time(lambda: self._resolver(where.host, where.port), deadline)
            address = checked(where, addresses, self._allow)
            with (
                closing(self._connector(address, where.port, deadline.left())) as raw,
                closing(_wrapped(raw, where, deadline)) as wrapped,
            ):
                return self._exchange(wrapped, where, headers, deadline, sent)
        except (OSError, http.client.HTTPException, zlib.error, EOFError) as error:
            raise InputError(
                f"the page cannot be fetched: {_said(error)}.",
                where=where.url,
                field="url",
                cure="Try it in a browser; the next sync tries again.",
            ) from error

    def _exchange(
        self,
        raw: socket.socket,
        where: Target,
        headers: Mapping[str, str],
        deadline: _Deadline,
        sent: bytes | None,
    ) -> Fetched:
        connection = http.client.HTTPConnection(where.host, where.port)
        connection.sock = _Timed(raw, deadline)
        connection.putrequest(
            "GET" if sent is None else "POST", where.path, skip_host=True, skip_accept_encoding=True
        )
        told = {
            "Host": where.authority,
            "User-Agent": AGENT,
            "Accept-Encoding": "gzip",
            "Connection": "close",
        } | ({} if sent is None else {"Content-Length": str(len(sent))})
        for name, value in {**told, **headers}.items():
            connection.putheader(name, value)
        connection.endheaders(sent)
        response = connection.getresponse()
        try:
            got = {name.lower(): value for name, value in response.getheaders()}
            body = b"" if response.status in _MOVED else self._body(response, got)
            return Fetched(where.url, response.status, got, body)
        finally:
            response.close()

    def _body(self, response: http.client.HTTPResponse, headers: Mapping[str, str]) -> bytes:
        encoding, length = headers.get("content-encoding", ""), headers.get("content-length", "")
        data = bytearray()
        while chunk := response.read(_CHUNK):
            data += chunk
            if len(data) > self._most:
                raise _too_large(self._most)
        if length.isdecimal() and "transfer-encoding" not in headers and len(data) < int(length):
            raise EOFError("the page ends too early")
        if encoding.strip().lower() in ("gzip", "x-gzip"):
            return unpacked(bytes(data), self._most)
        if encoding.strip().lower() not in ("", "identity"):
            raise InputError(f"the page is packed as {encoding[:40]!r}, which nobody asked for.", field="url")
        return bytes(data)


def unpacked(data: bytes, most: int = MOST_BYTES) -> bytes:
    """Gzipped bytes unpacked; raises InputError beyond `most`, EOFError or zlib.error where they are damaged."""
    out = bytearray()
    while data:
        unpacker = zlib.decompressobj(wbits=31)
        out += unpacker.decompress(data, most + 1 - len(out))
        if len(out) > most:
            raise _too_large(most)
        if not unpacker.eof:
            raise EOFError("the packed page ends too early")
        data = unpacker.unused_data
    return bytes(out)


def _joined(base: str, location: str) -> str:
    """Where a redirect leads: a whole address is taken as it stands, so that nothing is read into it."""
    # Headers come as Latin-1; who writes other letters there means UTF-8.
    said = location.encode("latin-1", "replace").decode("utf-8", "replace")
    return said if _SCHEME.match(said) else urljoin(base, said)


class _Deadline:
    """The seconds that are left of all that one fetch may take."""

    def __init__(self, clock: Callable[[], float], seconds: float) -> None:
        self._clock, self._end = clock, clock() + seconds

    def left(self) -> float:
        """Seconds left; raises TimeoutError where there are none."""
        left = self._end - self._clock()
        if left <= 0:
            raise TimeoutError("it took too long")
        return left


class _Timed:
    """As much of a socket as http.client uses, every wait of it within one deadline."""

    def __init__(self, raw: socket.socket, deadline: _Deadline) -> None:
        self._raw, self._deadline = raw, deadline

    def sendall(self, data: Any) -> None:
        """Send all of it."""
        self._raw.settimeout(self._deadline.left())
        self._raw.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        """A stream to read from."""
        return io.BufferedReader(_Stream(self._raw, self._deadline))

    def close(self) -> None:
        """Leave the socket to who opened it."""


class _Stream(io.RawIOBase):
    def __init__(self, raw: socket.socket, deadline: _Deadline) -> None:
        self._raw, self._deadline = raw, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._raw.settimeout(self._deadline.left())
        return self._raw.recv_into(buffer)


def _wrapped(raw: socket.socket, where: Target, deadline: _Deadline) -> socket.socket:
    """The connection, in TLS for the host's name where the scheme asks for it."""
    if where.scheme == "http":
        return raw
    raw.settimeout(deadline.left())
    return ssl.create_default_context().wrap_socket(raw, server_hostname=where.host)


def _in_time(resolver: Callable[[], Sequence[str]], deadline: _Deadline) -> Sequence[str]:
    """What the resolver says, in a thread: the system's own has no limit of time."""
    answers: queue.Queue[Sequence[str] | OSError] = queue.Queue()

    def ask() -> None:
        try:
            answers.put(resolver())
        except OSError as error:
            answers.put(error)
        except UnicodeError as error:
            answers.put(OSError(str(error)))

    threading.Thread(target=ask, daemon=True).start()
    try:
        found = answers.get(timeout=deadline.left())
    except queue.Empty:
        raise TimeoutError("its name was not found in time") from None
    if isinstance(found, OSError):
        raise found
    return found


def _said(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "it took too long"
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


def _too_large(most: int) -> InputError:
    return InputError(
        f"the page is larger than {most:,} bytes.", field="url", cure="Leave it out of the sitemap."
    )
