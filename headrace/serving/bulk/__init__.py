"""A file of any size -> a file of answers: in bounded memory, in its order, continued after any end.

`chunks` reads the file; each chunk's answers become one small file of `parts`, durable before the next; `join`
reads the input once more beside the parts and writes the target, which is there whole or not at all; `run`
knows the order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NotRequired, Protocol, TypedDict

from headrace.errors import NotServed
from headrace.serving.answerer import Given
from headrace.serving.engine import Ask


class Giver(Protocol):
    """Who answers."""

    def follow(self) -> None:
        """Answer by the newest releases from now on."""
        ...

    def serving(self, task: str, channel: str) -> str:
        """The release that answers (task, channel) from now on; raises NotServed."""
        ...

    def taught(self, task: str, channel: str) -> str:
        """A digest of the corrections that count there, as `serving` took them up."""
        ...

    def give(self, asks: Sequence[Ask]) -> list[Given | NotServed]:
        """One answer per ask, in order; called from several threads."""
        ...


class Asked(TypedDict):
    """What is asked of a file, and how.

    `column` is that of the text, guessed by its name where left out. A row names its channel in
    `channel_column`; `channel` is that of all rows, or of those that name none. `restart` throws away what an
    unfinished run has; `mixed` lets it go on by another release, or other
    corrections, than it began with.
    """

    task: str
    channel: NotRequired[str | None]
    column: NotRequired[str | None]
    channel_column: NotRequired[str | None]
    restart: NotRequired[bool]
    mixed: NotRequired[bool]


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked of each row: its `column` of text, a task, and a channel.

    With `channel_column` a row names its channel, and `channel` stands where it names none.
    """

    task: str
    channel: str | None
    column: str
    channel_column: str | None = None

    def to_json(self) -> dict[str, str | None]:
        """As the manifest keeps it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a file: of `rows`, `answered`, and `failed`, each named by its own `error` in `out`.

    `kept` rows had been answered by an earlier, unfinished run; `errors` are the first few.
    """

    out: Path
    rows: int
    answered: int
    failed: int
    kept: int
    errors: tuple[str, ...]
