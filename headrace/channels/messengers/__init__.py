"""How other programs' webhooks read and are written: one module a messenger, with its `Options` and its `Part`.

A part is made as `Part(options)` and translates only: bytes and headers into what was said, and what is said into
bytes and headers. What it has read is answered by the desk, whoever sent it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Incoming:
    """What a customer said; `id` is the delivery's, the same again where it is sent again.

    `thread` is the sender's own id of the conversation, `person` that of the customer.
    """

    id: str
    thread: str
    text: str
    person: str | None = None
    language: str = ""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What the desk says in a thread: `data` is what is sent, `id` the same for every try."""

    id: str
    thread: str
    at: datetime
    data: Mapping[str, Any]


class Messenger(Protocol):
    """Translates between a messenger and the desk."""

    def read(
        self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime
    ) -> Incoming:
        """A delivery whose sender knows one of the secrets.

        `headers` are by lower-case name. Raises Unauthorized where its sender does not, InputError where the
        body cannot be read.
        """
        ...

    def write(self, said: Outgoing, secrets: Sequence[str], now: datetime) -> tuple[bytes, Mapping[str, str]]:
        """Body and headers of a delivery, signed under every secret."""
        ...
