"""Everything Headrace raises on purpose.

HeadraceError                 what happened, where, and the cure
|-- RecipeError               headrace.yaml is wrong; every mistake of the file at once
|-- InputError                rows, fields or files that cannot be used
|-- NotFound                  a name or id that nothing carries
|-- Conflict                  it exists already, or contradicts what exists
|-- MissingExtra              a verb needs packages that are not installed
|-- StoreError                the store cannot be read or written
|   |-- StoreFull             no space is left, or a size limit was hit
|   +-- StoreBusy             another process holds the store
|       +-- AlreadyRunning    another process does the same work
|-- ArtifactError             a file of an adapter or graph is missing, damaged or foreign
|-- TrainingError             examples from which nothing can be learned
|-- NotServed                 no adapter answers for this (task, channel) yet
+-- Refused                   a request that is not allowed
    |-- Unauthorized          no key, or one that opens nothing
    |-- QuotaSpent            the channel's quota is used up; carries `retry_after`
    +-- ServerFull            the queue is full; carries `retry_after`

None of them repeats a key: where one stood in what somebody wrote, the cure is to revoke it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

LEAKED = (
    "A key of Headrace stood there. Others may have read it: make a new one (headrace key new CHANNEL) and"
    " revoke it (headrace key list, headrace key revoke KEY_ID)."
)
_KEY = re.compile(r"hr_live_[0-9A-Za-z]{4,}")


class HeadraceError(Exception):
    """Base of the tree: `what` happened, `where`, and the `cure`; `exit_code` is the CLI's."""

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", cure: str = "") -> None:
        self.what, self.where, self.cure = without_keys(what), without_keys(where), without_keys(cure)
        if (self.what, self.where, self.cure) != (what, where, cure):
            self.cure = f"{self.cure} {LEAKED}".strip()
        super().__init__(self.message)

    @property
    def message(self) -> str:
        """One line: where, what and the cure."""
        place = f"{self.where}: " if self.where else ""
        cure = f" {self.cure}" if self.cure else ""
        return f"{place}{self.what}{cure}"


class RecipeError(HeadraceError):
    """headrace.yaml is wrong; `mistakes` holds every one, each a line of its own."""

    exit_code = 2

    def __init__(self, mistakes: Sequence[str], *, where: str = "headrace.yaml") -> None:
        self.mistakes = tuple(without_keys(mistake) for mistake in mistakes)
        noun = "mistake" if len(self.mistakes) == 1 else "mistakes"
        super().__init__(f"{len(self.mistakes)} {noun}\n" + "\n".join(mistakes), where=where)


class InputError(HeadraceError):
    """Rows, fields or files that cannot be used; `field` names the one at fault where there is one."""

    exit_code = 2

    def __init__(self, what: str, *, where: str = "", cure: str = "", field: str = "") -> None:
        self.field = field
        super().__init__(what, where=where, cure=cure)


class NotFound(HeadraceError):
    """A name or id that nothing carries."""

    exit_code = 2


class Conflict(HeadraceError):
    """It exists already, or contradicts what exists."""

    exit_code = 2


class MissingExtra(HeadraceError):
    """A verb needs packages that are not installed."""

    exit_code = 3

    def __init__(self, verb: str, extra: str) -> None:
        self.extra = extra
        super().__init__(f"{verb} needs headrace[{extra}].", cure=f'Run: pip install "headrace[{extra}]"')


class StoreError(HeadraceError):
    """The store cannot be read or written."""

    exit_code = 4


class StoreFull(StoreError):
    """No space is left, or a size limit was hit; nothing acknowledged is lost."""


class StoreBusy(StoreError):
    """Another process holds the store."""


class AlreadyRunning(StoreBusy):
    """Another process does the same work, which only one may do; nothing was begun."""


class ArtifactError(HeadraceError):
    """A file of an adapter or graph is missing, damaged or foreign."""

    exit_code = 4


class TrainingError(HeadraceError):
    """Examples from which nothing can be learned."""

    exit_code = 5


class NotServed(HeadraceError):
    """No adapter answers for this (task, channel) yet."""

    exit_code = 5


class Refused(HeadraceError):
    """A request that is not allowed."""

    exit_code = 6


class Unauthorized(Refused):
    """No key, or one that opens nothing."""


class QuotaSpent(Refused):
    """The channel's quota is used up; ask again after `retry_after` seconds."""

    def __init__(self, what: str, *, retry_after: int) -> None:
        self.retry_after = retry_after
        super().__init__(what, cure=f"Ask again in {retry_after} s.")


class ServerFull(Refused):
    """The queue is full; ask again after `retry_after` seconds."""

    def __init__(self, what: str, *, retry_after: int) -> None:
        self.retry_after = retry_after
        super().__init__(what, cure=f"Ask again in {retry_after} s.")


def without_keys(text: str) -> str:
    """`text` with every key of Headrace, whole or cut off, replaced."""
    return _KEY.sub("[a key]", text)
