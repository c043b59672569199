"""Which split a text belongs to: the hash of the recipe's seed and the normalised text decides.

So it depends on nothing but the text: not on when it came, nor on what came with it.
"""

from __future__ import annotations

import hashlib

from headrace.records import Split


def hash_split(seed: int, key: str, test_share: float) -> Split:
    """`test` for a share `test_share` of all texts, else `train`; `key` is the text's `text_key`."""
    digest = hashlib.sha256(f"{seed}\x1f{key}".encode()).digest()
    return "test" if int.from_bytes(digest[:8], "big") < test_share * 2**64 else "train"
