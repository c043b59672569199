"""The caches of training, without what a person gave: features of their texts, leavings of killed trainings."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Collection
from pathlib import Path

import numpy as np

from headrace.store.failures import disk_errors


def digest_of(text: str) -> str:
    """The name under which the cache of features keeps a text."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def drop_caches(cache: Path, digests: Collection[str]) -> int:
    """Delete checkpoints, and the chunks of features that hold a text with one of these digests; how many.

    What else stood in a chunk is computed again when it is needed next.
    """
    wanted, count = {digest.encode() for digest in digests}, 0
    with disk_errors(str(cache)):
        shutil.rmtree(cache / "checkpoints", ignore_errors=True)
        for path in sorted((cache / "features").glob("*/*.keys")):
            # The file is mapped by whoever trains now: it stays whole for them until they end.
            keys = np.load(path, allow_pickle=False)
            if wanted.intersection(keys[keys.dtype.names[0]].tolist()):
                path.unlink(missing_ok=True)
                path.with_suffix(".npy").unlink(missing_ok=True)
                count += 1
    return count
