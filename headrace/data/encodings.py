"""Which encoding a file is in: byte order mark, UTF-16 without one, strict UTF-8, then chardet on a sample.

The sample is drawn from lines that are not plain ASCII, wherever they stand, because only those tell.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from typing import BinaryIO

from headrace.errors import InputError

CHUNK = 1 << 16
SAMPLE = 1 << 17
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Encodings of whole scripts, whose bytes are too regular to be found by accident.
_MULTIBYTE = (
    "gb18030",
    "gbk",
    "gb2312",
    "big5",
    "big5hkscs",
    "cp950",
    "shift_jis",
    "cp932",
    "euc_jp",
    "euc_kr",
    "cp949",
)


def named(encoding: str) -> str:
    """The codec that a recipe names; raises InputError where Python knows none."""
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        raise InputError(
            f"there is no encoding {encoding!r}.",
            field="encoding",
            cure="Write auto, utf-8, gb18030, utf-16 or latin-1.",
        ) from None
    # Without a mark, "utf-16" means the order of bytes that nearly every program writes.
    return {"utf-16": "utf-16-le", "utf-32": "utf-32-le", "utf-8-sig": "utf-8"}.get(name, name)


def mark_length(head: bytes) -> int:
    """Bytes of the byte order mark at the start of a file, 0 where there is none."""
    return next((len(mark) for mark, _ in _MARKS if head.startswith(mark)), 0)


def marked(head: bytes) -> str | None:
    """The codec that a byte order mark at the start of a file names."""
    return next((encoding for mark, encoding in _MARKS if head.startswith(mark)), None)


def detect(stream: BinaryIO) -> str:
    """The codec in which the text of `stream` is written; the stream is read, in bounded memory."""
    head = stream.read(CHUNK)
    known = marked(head) or _wide(head)
    if known:
        return known
    lines = _telling_lines(head, stream)
    if not lines or _share_of_utf8(lines) >= 0.5:
        return "utf-8"
    return _guess(b"\n".join(lines))


def _wide(head: bytes) -> str | None:
    """UTF-16 without a mark: its line ends, else half of its bytes, stand beside NUL bytes."""
    ends = head.count(b"\n")
    for encoding, newline, offset in (("utf-16-le", b"\n\x00", 0), ("utf-16-be", b"\x00\n", 0)):
        aligned = sum(1 for i in _found(head, newline) if i % 2 == offset)
        zeros = head[1::2].count(0) if encoding == "utf-16-le" else head[0::2].count(0)
        if (aligned and aligned * 2 >= ends) or (not ends and len(head) > 3 and zeros * 4 > len(head)):
            return encoding
    return None


def _found(data: bytes, pattern: bytes) -> Iterable[int]:
    at = data.find(pattern)
    while at >= 0:
        yield at
        at = data.find(pattern, at + 1)


def _telling_lines(head: bytes, stream: BinaryIO) -> list[bytes]:
    """Up to SAMPLE bytes of lines that hold something else than ASCII."""
    lines: list[bytes] = []
    size, rest, chunk = 0, b"", head
    while chunk and size < SAMPLE:
        block = rest + chunk
        cut = block.rfind(b"\n") + 1
        whole, rest = block[:cut], block[cut:][-CHUNK:]
        if not whole.isascii():
            for line in whole.split(b"\n"):
                if not line.isascii() and size < SAMPLE:
                    lines.append(line[:CHUNK])
                    size += len(lines[-1])
        chunk = stream.read(CHUNK)
    if not chunk and not rest.isascii():
        lines.append(rest)
    return lines


def _share_of_utf8(lines: list[bytes]) -> float:
    return sum(decodes(line, "utf-8") for line in lines) / len(lines)


def decodes(data: bytes, encoding: str) -> bool:
    """Whether all of `data` is text in `encoding`."""
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _guess(sample: bytes) -> str:
    import chardet

    found = chardet.detect(sample)
    encoding = str(found["encoding"] or "latin-1").lower().replace("-", "_")
    if encoding in ("gb2312", "gbk"):
        encoding = "gb18030"
    if encoding in _MULTIBYTE or float(found["confidence"] or 0) >= 0.5:
        return codecs.lookup(encoding).name
    return _single(sample, encoding)


def _single(sample: bytes, encoding: str) -> str:
    """One byte a letter, and chardet unsure: Latin-1 where the odd bytes are its letters amid ASCII."""
    odd = [byte for byte in sample if byte >= 0x80]
    letters = sum(byte >= 0xC0 for byte in odd)
    if encoding.startswith(("utf", "ascii")) or (len(odd) * 4 < len(sample) and letters * 2 >= len(odd)):
        return "latin-1" if not any(0x80 <= byte < 0xA0 for byte in odd) else "cp1252"
    return codecs.lookup(encoding).name
