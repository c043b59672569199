"""Telling somebody through apprise (headrace[alerts]), at the addresses of the recipe.

One message a turn, and one at once where a watch takes a release back.

An alert that cannot be sent is logged and fails nothing. Addresses hold passwords: messages and logs name them
by their number and service alone. What users wrote is not sent.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

from headrace.errors import HeadraceError, InputError, MissingExtra, without_keys
from headrace.recipe import Recipe
from headrace.reports.drift import AccuracyDrift, InputDrift
from headrace.reports.turns import TurnReport, named

Kind = Literal["release", "refusal", "rollback", "failure", "drift", "ticket"]

LONGEST = 20  # lines of a message; the rest is counted
_LOG = logging.getLogger(__name__)
_ONE = threading.Lock()


@dataclass(frozen=True)
class News:
    """A line worth telling, and what it is about."""

    kind: Kind
    line: str


def news(report: TurnReport) -> list[News]:
    """What a turn has to tell; of drift only what the turn before has not told, of rollbacks those by hand."""
    told = [News("rollback", one.sentence) for one in report.rolled_back if not one.watched]
    for one in report.decided:
        kind: Kind | None = _KINDS.get(one.outcome)
        if kind is not None:
            told.append(News(kind, f"{named((one.task, one.channel))}: {one.reason}"))
    return told + [News("drift", _said(one)) for one in report.drifted if one.new]


def tell(recipe: Recipe, found: list[News]) -> None:
    """Send what the recipe wants to be told, as one message; whatever goes wrong is logged."""
    wanted = [one for one in found if one.kind in recipe.alerts.on]
    if not wanted or not recipe.alerts.to:
        return
    title, body = _message(recipe.name, wanted)
    for number, address in enumerate(recipe.alerts.to, start=1):
        try:
            why = "" if _send(address, title, body) else "the service did not take it"
        except HeadraceError as error:
            why = error.message
        except Exception as error:  # its message may hold the address
            why = type(error).__name__
        if why:
            _LOG.warning("alert %d (%s) was not sent: %s", number, service(address), why)


def tell_soon(recipe: Recipe, found: list[News]) -> None:
    """Like `tell`, in a thread of its own: nobody waits for it but the end of the process."""
    if found and recipe.alerts.to:
        threading.Thread(target=tell, args=(recipe, found), name="headrace-alert").start()


def refuse_unusable(recipe: Recipe) -> None:
    """Raise MissingExtra without headrace[alerts], InputError for an address that apprise cannot read.

    Nothing is sent. Without addresses nothing is needed.
    """
    for number, address in enumerate(recipe.alerts.to, start=1):
        if not _opened(address):
            raise InputError(
                f"address {number} ({service(address)}) is none that apprise knows.",
                where="headrace.yaml, alerts.to",
                cure="See how apprise writes this service: https://appriseit.com",
            )


def service(address: str) -> str:
    """The name of an address's service: all of it that may be logged."""
    scheme, colon, _ = address.partition("://")
    return scheme if colon and scheme.isalnum() and len(scheme) <= 20 else "unknown service"


def _message(project: str, found: list[News]) -> tuple[str, str]:
    kinds = dict.fromkeys(one.kind for one in found)
    lines = [one.line for one in found[:LONGEST]]
    if len(found) > LONGEST:
        lines.append(f"And {len(found) - LONGEST} more: headrace status")
    return f"Headrace {project}: {', '.join(kinds)}", without_keys("\n".join(lines))


def _said(one: InputDrift | AccuracyDrift) -> str:
    """A drift without the words that users wrote."""
    return (replace(one, words=()) if isinstance(one, InputDrift) else one).sentence


def _send(address: str, title: str, body: str) -> bool:
    opened = _opened(address)
    with _quiet():
        return bool(opened and opened.notify(body=body, title=title, body_format="text"))


def _opened(address: str) -> Any:
    """An Apprise of one address; None where it cannot be read. Raises MissingExtra."""
    try:
        import apprise
    except ModuleNotFoundError as error:
        raise MissingExtra("Alerts", "alerts") from error
    with _quiet():
        made = apprise.Apprise(asset=apprise.AppriseAsset(app_id="Headrace", app_desc="Headrace", app_url=""))
        return made if made.add(address) else None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what apprise logs out of every log for a while: it may hold parts of an address."""
    theirs = logging.getLogger("apprise")
    with _ONE:  # one that ends would let another's be heard
        theirs.addFilter(_nothing)
        try:
            yield
        finally:
            theirs.removeFilter(_nothing)


def _nothing(_record: logging.LogRecord) -> bool:
    return False


_KINDS: dict[str, Kind] = {"released": "release", "refused": "refusal", "failed": "refusal"}
