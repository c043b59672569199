"""Bytes of adapters that made room for others: a file without a name, which ends with the process."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]


class Spool:
    """Keeps blocks of bytes by name; a name's bytes never change, so they are written once."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._file = self._begun()
        self._places: dict[str, tuple[int, int]] = {}
        self._end = 0

    @property
    def names(self) -> Collection[str]:
        """What is kept."""
        return self._places.keys()

    def put(self, name: str, content: Bytes) -> bool:
        """Keep `content` as `name`; says whether it is kept, which fails where the disk is full."""
        if name in self._places:
            return True
        try:
            whole = os.pwrite(self._file.fileno(), content.data, self._end) == len(content)
        except OSError:
            return False
        if whole:
            self._places[name] = (self._end, len(content))
            self._end += len(content)
        return whole

    def read_into(self, name: str, memory: Bytes) -> bool:
        """Fill `memory` with the bytes of `name`; says whether they were all there."""
        place, size = self._places[name]
        try:
            return os.preadv(self._file.fileno(), [memory.data], place) == size
        except OSError:
            return False

    def keep(self, names: Collection[str]) -> None:
        """Forget the others; where most of the file is theirs, begin a new one and forget all."""
        self._places = {name: place for name, place in self._places.items() if name in names}
        if self._end > 2 * sum(size for _, size in self._places.values()):
            self._file.close()
            self._file, self._places, self._end = self._begun(), {}, 0

    def _begun(self) -> IO[bytes]:
        return tempfile.TemporaryFile(dir=self._folder)
