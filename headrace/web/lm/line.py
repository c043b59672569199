"""One generation at a time, in a thread; others wait in a line of bounded length, or are told to come again."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager

from headrace.errors import ServerFull
from headrace.models.tasks.generate import Piece

Work = Callable[[Callable[[], bool]], Iterator[Piece]]
"""(whether it is to stop) -> the pieces of an answer."""


class Line:
    """`waiting` may wait besides the one whose turn it is."""

    def __init__(self, waiting: int) -> None:
        self._waiting, self._inside, self._lock = waiting, 0, threading.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="headrace-lm")
        self._seconds = 1.0

    @asynccontextmanager
    async def turn(self, work: Work) -> AsyncIterator[AsyncIterator[Piece]]:
        """The pieces of `work`, once its turn comes; leaving the block stops it. Raises ServerFull."""
        self._enter()
        stopped, pieces = threading.Event(), _Pieces(asyncio.get_running_loop())
        done = self._thread.submit(self._run, work, stopped, pieces)
        done.add_done_callback(self._leave)
        try:
            yield pieces.all()
        finally:
            stopped.set()
            done.cancel()

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(cancel_futures=True)

    def _enter(self) -> None:
        with self._lock:
            if self._inside > self._waiting:
                wait = min(max(round(self._inside * self._seconds), 1), 60)
                raise ServerFull(f"{self._inside} requests wait already.", retry_after=wait)
            self._inside += 1

    def _leave(self, _: Future[None]) -> None:
        with self._lock:
            self._inside -= 1

    def _run(self, work: Work, stopped: threading.Event, pieces: _Pieces) -> None:
        began = time.monotonic()
        try:
            for piece in work(stopped.is_set):
                pieces.put(piece)
        except Exception as error:  # it is raised again where the pieces are read
            pieces.put(error)
        pieces.put(None)
        self._seconds = time.monotonic() - began


class _Pieces:
    """From the thread to the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._queue = loop, asyncio.Queue[Piece | Exception | None]()

    def put(self, piece: Piece | Exception | None) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._queue.put_nowait, piece)

    async def all(self) -> AsyncIterator[Piece]:
        while (piece := await self._queue.get()) is not None:
            if isinstance(piece, Exception):
                raise piece
            yield piece
