"""Which addresses of the network may be spoken to: a URL is taken apart strictly, its host resolved once.

Server-side request forgery lives on the difference between what is checked and what is dialled. So a URL that two
readers could read differently is refused (a user before the host, a backslash, an escaped, decimal, octal or
shortened address), and what was checked is an address, which is then dialled itself. OWASP API7:2023.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from headrace.errors import InputError

Resolver = Callable[[str, int], Sequence[str]]
"""Gives the addresses of a host and port; raises OSError where there are none."""
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_URL = re.compile(r"(?i:(https?))://([^/?#]*)([^#]*)(?:#.*)?", re.DOTALL)
_PRINTABLE = re.compile(r"[!-~\u00a1-\U0010ffff]+")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]]+)(?::([0-9]{1,5}))?")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_DOTTED = re.compile(r"(?:0|[1-9][0-9]{0,2})(?:\.(?:0|[1-9][0-9]{0,2})){3}")
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")
# Addresses that stand for others or for nobody, whatever `is_global` says of them in this release of Python.
_NOT_GLOBAL = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "100.64.0.0/10",
        "192.0.0.0/24",
        "192.88.99.0/24",
        "198.18.0.0/15",
        "240.0.0.0/4",
        "::/96",
        "::ffff:0:0/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/23",
        "2002::/16",
        "3fff::/20",
        "5f00::/16",
        "fec0::/10",
    )
)
# Where a cloud tells its machines their keys: nobody's help page, even where the owner allows a network.
_METADATA = frozenset(
    map(ipaddress.ip_address, ("169.254.169.254", "169.254.170.2", "100.100.100.200", "fd00:ec2::254"))
)


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart: `host` in lower case and ASCII, `path` with its query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def url(self) -> str:
        """The URL, written in one way."""
        return f"{self.scheme}://{self.authority}{self.path}"

    @property
    def authority(self) -> str:
        """The host as the header Host has it: with the port where that is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _port(self.scheme) else f"{host}:{self.port}"

    @property
    def site(self) -> str:
        """Scheme, host and port."""
        return f"{self.scheme}://{self.authority}"


def target(url: str) -> Target:
    """The parts of an http or https URL; raises InputError where it is another, or can be read in two ways."""
    parts = _URL.fullmatch(url)
    if len(url) > 4096 or parts is None or not _PRINTABLE.fullmatch(url) or "\\" in url:
        raise _refused(
            url, "not a plain http or https address", "Write it as https://help.example/sitemap.xml."
        )
    scheme, authority, path = parts[1].lower(), parts[2], parts[3]
    found = _HOST.fullmatch(authority.lower())
    if found is None or "%" in authority or "@" in authority:
        raise _refused(
            url, "its host cannot be read in one way only", "Leave out user, password and escapes."
        )
    port = int(found[2]) if found[2] else _port(scheme)
    if not 0 < port < 65536:
        raise _refused(url, f"{port} is no port", "Correct it.")
    return Target(scheme, _host(url, found[1]), port, _path(path))


def resolve(host: str, port: int) -> list[str]:
    """The addresses that the system knows of a host."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def checked(where: Target, addresses: Sequence[str], allow: Collection[str] = ()) -> str:
    """The first of a host's addresses, if every one may be dialled; raises InputError where one may not.

    All must be global, unless the owner allows this very host and port.
    """
    found = [_address(where, address) for address in addresses]
    if not found:
        raise InputError("the host has no address.", where=where.site, field="url", cure="Check its name.")
    allowed = _is_allowed(where, {name.lower() for name in allow})
    for address in found:
        if address in _METADATA or not (allowed or is_global(address)):
            raise InputError(
                "the host leads to an address within a network, not to one on the internet.",
                where=where.site,
                field="url",
                cure=f"If this is a site of your own, add {where.authority!r} to the source's options.allow.",
            )
    return str(found[0])


def _is_allowed(where: Target, names: Collection[str]) -> bool:
    """Whether the owner named this host with its port, or without one and it is a web server's usual."""
    return where.authority in names or (where.port in (80, 443) and where.host in names)


def is_global(address: Address) -> bool:
    """Whether an address is one of the internet's, and not an IPv4 one in the clothes of IPv6."""
    if not address.is_global or address.is_multicast or address.is_reserved or address.is_unspecified:
        return False
    return not any(address.version == network.version and address in network for network in _NOT_GLOBAL)


def _address(where: Target, text: str) -> Address:
    try:
        # A scope, as in fe80::1%eth0, names a network card: never global.
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError as error:
        raise InputError(f"{text!r} is no address.", where=where.site, field="url") from error


def _host(url: str, text: str) -> str:
    if text.startswith("["):
        try:
            return str(ipaddress.IPv6Address(text[1:-1]))
        except ValueError:
            raise _refused(url, "its address is none of IPv6", "Correct it.") from None
    try:
        name = text if text.isascii() else text.encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise _refused(url, "its host is no name", "Correct it.") from None
    name = name.removesuffix(".")
    labels = name.split(".")
    if _NUMERIC.fullmatch(labels[-1]):
        if _DOTTED.fullmatch(name) and all(int(label) < 256 for label in labels):
            return name
        raise _refused(url, "its host is a number that can be read in several ways", "Write the host's name.")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise _refused(url, "its host is no name", "Correct it.")
    return name


def _path(text: str) -> str:
    """The path with a slash in front and letters that are not ASCII escaped."""
    given = text if text.startswith("/") else f"/{text}"
    return "".join(c if c.isascii() else "".join(f"%{byte:02X}" for byte in c.encode()) for c in given)


def _port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def _refused(url: str, why: str, cure: str) -> InputError:
    # What stands before an @ may be a password.
    shown = re.sub(r"(?<=//)[^/]*@", "", url)
    shown = shown if len(shown) <= 100 else shown[:97] + "..."
    return InputError(f"this address is refused: {why}.", where=repr(shown), field="url", cure=cure)
