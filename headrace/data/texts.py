"""One text, made comparable: as it is kept, as duplicates are told, and its key."""

from __future__ import annotations

import hashlib
import unicodedata


def tidy(text: str) -> str:
    """The text as it is kept: NFC, each run of white space one space, none at the ends."""
    return " ".join(unicodedata.normalize("NFC", text).replace("\ufeff", "").split())


def normalised(text: str) -> str:
    """The text as duplicates are told: NFKC (width does not count), case folded, white space as in `tidy`."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    # Folding may leave what NFKC would join once more.
    return " ".join(unicodedata.normalize("NFKC", folded).replace("\ufeff", "").split())


def text_key(text: str) -> str:
    """The key of a text's normalised form; equal for texts that count as the same."""
    return hashlib.sha256(normalised(text).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def garbled(text: str) -> str:
    """Why a text is no text: replacement characters or mostly control characters; empty where it is one."""
    if text.isprintable() and "\ufffd" not in text:
        return ""
    if "\ufffd" in text:
        return f"{text.count(chr(0xFFFD))} replacement characters (U+FFFD)"
    odd = sum(unicodedata.category(character) in ("Cc", "Cn", "Co", "Cs") for character in text)
    return f"{odd} of {len(text)} characters are not text" if odd * 4 > len(text) else ""
