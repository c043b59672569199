"""Who waits for an answer: a call of one row or several, told once, from whichever thread ends it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future

from headrace.serving.engine import Scored

Outcome = Scored | Exception
Done = Callable[[list[Scored] | Exception], None]


class Call:
    """The rows of one call; `done` hears the answers in order, or the first error."""

    __slots__ = ("_done", "_ended", "_found", "_left")

    def __init__(self, rows: int, done: Done) -> None:
        self._done, self._left = done, rows
        self._found: dict[int, Scored] = {}
        self._ended = threading.Lock()  # whoever takes it tells `done`, or keeps it from being told

    def begin(self) -> bool:
        """Whether anybody still waits, asked once of each row before it is run."""
        return not self._ended.locked()

    def settle(self, place: int, outcome: Outcome) -> None:
        """Take the outcome of the row at `place`."""
        if isinstance(outcome, Exception):
            if self.cancel():
                self._done(outcome)
            return
        self._found[place] = outcome
        if len(self._found) == self._left and self.cancel():
            self._done([self._found[place] for place in range(self._left)])

    def cancel(self) -> bool:
        """Let nobody be told any more; False where somebody was."""
        return self._ended.acquire(blocking=False)


class Promise(Call):
    """A call of one row that ends a future, which may be cancelled until its row is run."""

    __slots__ = ("future",)

    def __init__(self) -> None:
        super().__init__(1, self._resolve)
        self.future: Future[Scored] = Future()

    def begin(self) -> bool:
        """Whether the future was not cancelled; it cannot be from now on."""
        return super().begin() and self.future.set_running_or_notify_cancel()

    def _resolve(self, found: list[Scored] | Exception) -> None:
        waits = self.future.running() or self.future.set_running_or_notify_cancel()
        if waits and isinstance(found, Exception):
            self.future.set_exception(found)
        elif waits and not isinstance(found, Exception):
            self.future.set_result(found[0])
