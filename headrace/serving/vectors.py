"""Embeddings of passages, kept on disk by the text: a restart or a changed document embeds only what is new.

A folder holds those of one graph. Each file is written whole and renamed into place, so a kill at any moment
leaves valid ones; several processes may add to one folder.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from headrace.store.failures import disk_errors

Floats = NDArray[np.float32]
MOST_FILES = 64
"""Files from which a folder is gathered into one when it is opened."""

_DIGEST = 16


class Vectors:
    """Embeddings by text. Not safe from several threads at once."""

    def __init__(self, folder: Path, embed: Callable[[Sequence[str]], Floats]) -> None:
        """`embed` gives [n, d] float32 of norm 1 for texts that are not in `folder` yet."""
        self._folder, self._embed = folder, embed
        self._known: dict[bytes, NDArray[np.float16]] = {}
        files = sorted(folder.glob("*.npz"))
        for file in files:
            self._take(file)
        if len(files) > MOST_FILES:
            self._write(self._known)
            for file in files:
                file.unlink(missing_ok=True)

    def of(self, texts: Sequence[str]) -> Floats:
        """[n, d] float32: the embeddings in half precision, new ones stored. Raises StoreFull, StoreError."""
        keys = [_key(text) for text in texts]
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._known}
        if new:
            found = self._embed(list(new.values())).astype(np.float16)
            fresh = dict(zip(new, found, strict=True))
            self._write(fresh)
            self._known |= fresh
        return np.array([self._known[key] for key in keys], np.float32)

    def keep(self, texts: Sequence[str]) -> None:
        """Let go of all others in memory; on disk they stay."""
        keys = {_key(text) for text in texts}
        self._known = {key: row for key, row in self._known.items() if key in keys}

    def _take(self, file: Path) -> None:
        try:
            with np.load(file, allow_pickle=False) as found:
                keys, rows = found["keys"], found["rows"]
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            return  # damaged: its texts are embedded anew
        self._known |= {key.tobytes(): row for key, row in zip(keys, rows, strict=True)}

    def _write(self, some: dict[bytes, NDArray[np.float16]]) -> None:
        keys = np.frombuffer(b"".join(some), np.uint8).reshape(len(some), _DIGEST)
        name = hashlib.sha256(keys.tobytes()).hexdigest()[:24]
        scratch = self._folder / f".{name}.{os.urandom(6).hex()}"
        with disk_errors(str(self._folder)):
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                with open(scratch, "wb") as file:
                    np.savez(file, keys=keys, rows=np.stack(list(some.values())))
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(scratch, self._folder / f"{name}.npz")
            finally:
                scratch.unlink(missing_ok=True)


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST).digest()
