"""Keys and passwords in a text -> <key>: those with a known prefix, and random tokens named as a key."""

from __future__ import annotations

import math
import re
from collections import Counter

_KNOWN = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"hr_live_[A-Za-z0-9_\-]{12,}"
    r"|sk-[A-Za-z0-9_\-]{16,}|[sr]k_(?:live|test)_[A-Za-z0-9]{16,}"
    r"|A[KS]IA[0-9A-Z]{16}(?![0-9A-Za-z])"
    r"|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_\-]{20,}"
    r"|xox[abeoprs]-[A-Za-z0-9\-]{10,}"
    r"|AIza[0-9A-Za-z_\-]{35}"
    r"|eyJ[A-Za-z0-9_\-]{8,}\.eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]+"
    r")"
)
_NAMED = re.compile(
    r"(?P<name>(?:key|token|secret|passw(?:or)?d|bearer|credential|密钥|令牌|密码|口令)s?"
    r"[\"'`]?\s{0,3}(?:is|was|are|=|:|：|是|为)?\s{0,3}[\"'`]?)"
    r"(?P<token>[A-Za-z0-9_\-+/.=]{16,512})",
    re.IGNORECASE,
)


def mask_keys(text: str) -> tuple[str, int]:
    """The text with its keys replaced, and how many they were."""
    text, known = _KNOWN.subn("<key>", text)
    found = 0

    def replace(match: re.Match[str]) -> str:
        nonlocal found
        if not _random(match["token"]):
            return match[0]
        found += 1
        return match["name"] + "<key>"

    return _NAMED.sub(replace, text), known + found


def _random(token: str) -> bool:
    """Letters and digits mixed, and at least 3 bits of entropy a character: no word is like that."""
    if not (re.search(r"[A-Za-z]", token) and re.search(r"[0-9]", token)):
        return False
    shares = [n / len(token) for n in Counter(token).values()]
    return -sum(share * math.log2(share) for share in shares) >= 3.0
