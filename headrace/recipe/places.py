"""Where requests come from, as a recipe writes it: origins of web pages, addresses of proxies."""

from __future__ import annotations

import ipaddress
import re

_ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:]+\])(?::\d{1,5})?")


def checked_origin(text: str) -> str:
    """An origin, letter by letter as browsers send it; raises ValueError."""
    if not _ORIGIN.fullmatch(text):
        raise ValueError("write scheme, host and port alone, as browsers do: https://shop.example")
    return text


def checked_network(text: str) -> str:
    """An address, or a network of them; raises ValueError."""
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError("write an address or a network, such as 10.0.0.0/8") from None
    return text
