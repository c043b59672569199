"""Standard Webhooks (https://www.standardwebhooks.com), version 1: HMAC-SHA256 over id, timestamp and body.

A secret is written whsec_ and base64. While secrets are changed two are valid: what goes out is
signed under both, and what comes in under either.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from headrace.channels.messengers import Incoming, Outgoing
from headrace.errors import InputError, Unauthorized

PREFIX = "whsec_"
BYTES = 32
TOLERANCE = 300
"""Seconds that a delivery's timestamp may differ from now."""
_CURE = (
    "Sign it as standardwebhooks.com says, with the secret that this prints: headrace webhook secret CHANNEL"
)
_Name = Annotated[str, Field(min_length=1, max_length=200)]


class Options(BaseModel):
    """None."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class _Data(BaseModel):
    """What the sender says."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)
    thread: _Name
    text: Annotated[str, Field(min_length=1, max_length=4_000)]
    person: _Name | None = None
    language: Annotated[str, Field(max_length=16)] = ""


class _Event(BaseModel):
    """The body of a delivery."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    type: str
    data: _Data


class Part:
    """Reads and writes deliveries of the standard."""

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or Options()

    def read(
        self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime
    ) -> Incoming:
        """A `message.received`; raises Unauthorized, InputError."""
        name = verified(headers, body, secrets, now)
        try:
            event = _Event.model_validate_json(body)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"])) or "body"
            raise InputError(
                f"{first['msg']}.", field=field, cure="Send type and data.thread, data.text."
            ) from None
        if event.type != "message.received" or not event.data.text.strip() or "\x00" in event.data.text:
            raise InputError("it is no message.", field="type", cure="Send message.received with a text.")
        said = event.data
        return Incoming(name, said.thread, said.text, said.person, said.language)

    def write(self, said: Outgoing, secrets: Sequence[str], now: datetime) -> tuple[bytes, Mapping[str, str]]:
        """A `message.sent`."""
        event = {
            "type": "message.sent",
            "timestamp": said.at.isoformat(),
            "data": {"thread": said.thread, **said.data},
        }
        body = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
        return body, signed(secrets, said.id, now, body)


def signed(secrets: Sequence[str], name: str, at: datetime, body: bytes) -> dict[str, str]:
    """The headers of a delivery called `name`, sent now, with a signature under each secret."""
    moment = str(int(at.timestamp()))
    return {
        "content-type": "application/json",
        "webhook-id": name,
        "webhook-timestamp": moment,
        "webhook-signature": " ".join(_signature(secret, name, moment, body) for secret in secrets),
    }


def verified(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime) -> str:
    """The id of a delivery whose signature is right and whose moment is now; raises Unauthorized."""
    name, moment = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not name or len(name) > 200 or not (moment.isascii() and moment.isdecimal()) or len(moment) > 12:
        raise Unauthorized("webhook-id, webhook-timestamp or webhook-signature is missing.", cure=_CURE)
    if abs(now.timestamp() - int(moment)) > TOLERANCE:
        raise Unauthorized(
            "the webhook-timestamp is more than five minutes off.", cure="Set the sender's clock."
        )
    given = [one for one in headers.get("webhook-signature", "").split() if one.startswith("v1,")]
    right = [_signature(secret, name, moment, body) for secret in secrets]
    # All are compared, so that the time says nothing of which was nearly right.
    matches = [hmac.compare_digest(one.encode(), other.encode()) for one in given[:10] for other in right]
    if not any(matches):
        raise Unauthorized("the webhook-signature is wrong.", cure=_CURE)
    return name


def secret_of(key: bytes) -> str:
    """A key as both sides write it."""
    return f"{PREFIX}{base64.b64encode(key).decode()}"


def _signature(secret: str, name: str, moment: str, body: bytes) -> str:
    digest = hmac.new(_key(secret), f"{name}.{moment}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raise InputError(
            "this is no secret of a webhook.", field="secret", cure="It begins with whsec_."
        ) from None
