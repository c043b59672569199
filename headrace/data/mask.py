"""Private details -> placeholders: <email>, <phone>, <card>, <identity>, <key>, <ip>.

Numbers are masked by their checksum (cards by Luhn, accounts by IBAN's mod 97, Chinese identity numbers by
GB 11643) or, for phones, by the numbering plan of the channel's country, so that order numbers stay.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from datetime import date
from functools import cached_property

from headrace.data.secrets import mask_keys

KINDS = ("email", "phone", "card", "identity", "key")
# Nothing is masked in a text without one of these; most texts have none.
_SUSPECT = re.compile(
    r"@|[0-9][0-9 ()./\-]{4,}[0-9]|[0-9]{6}|[A-Z]{2}[0-9]{2}|[0-9A-Za-z_\-+/.=]{12}"
    r"|[0-9A-Fa-f]?:[0-9A-Fa-f]{0,4}:|[0-9]\.[0-9]"
)
# And where there is none of these, only a long run without a space can be one: found far quicker.
_SIGN = re.compile(r"[0-9@:]")
_RUN = 12
# Full-width digits and signs are read as their narrow twins.
_WIDE = re.compile(r"[０-９＠＋－．]")
_NARROW = {code: code - 0xFEE0 for code in map(ord, "０１２３４５６７８９＠＋－．")}
_EMAIL = re.compile(
    r"[A-Za-z0-9._%+\-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9\-]{0,62}\.)+[A-Za-z]{2,24}(?![A-Za-z])"
)
_CARD = re.compile(r"(?<![0-9])(?<![0-9][ \-.])(?:[0-9][ \-]?){12,18}[0-9](?![0-9])(?![ \-.][0-9])")
_CARD_START = re.compile(r"3[0-9]|4|5[0-9]|6|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){11,30}(?![a-z0-9])")
_IDENTITY = re.compile(r"(?<![0-9A-Za-z])[1-9][0-9]{5}(?:18|19|20)[0-9]{9}[0-9Xx](?![0-9A-Za-z])")
_IP = re.compile(
    r"(?<![\w.:])(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7})(?![\w:]|\.[0-9])"
)
_DIALLED = re.compile(r"[+(]?[0-9][0-9 ()./\-]{5,}[0-9]")
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_CHINESE_MOBILE = re.compile(
    r"(?<![0-9])(?<![0-9][\-._])(?:\+?86[ \-]?)?1[3-9][0-9]{9}(?![0-9])(?![\-._][0-9])"
)

# Lengths of IBANs by country (ISO 13616 registry).
_IBAN_LENGTHS: Mapping[str, int] = {
    code[:2]: int(code[2:])
    for code in re.findall(
        r"[A-Z]{2}[0-9]{2}",
        "AD24AE23AT20BE16BG22CH21CY28CZ24DE22DK18EE20ES24FI18FR27GB22GI23GR27HR21HU28IE22IL23IS26IT27KW30LI21"
        "LT20LU20LV21MC27MT31NL18NO15PL28PT25QA29RO24SA24SE24SI19SK24SM27TR26UA29",
    )
}
# The countries whose numbering plan a language without a country stands for.
_REGIONS: Mapping[str, tuple[str, ...]] = {
    "en": ("US", "GB"),
    "zh": ("CN",),
    "ja": ("JP",),
    "ko": ("KR",),
    "pt": ("BR", "PT"),
    "da": ("DK",),
    "sv": ("SE",),
    "cs": ("CZ",),
    "uk": ("UA",),
    "hi": ("IN",),
    "vi": ("VN",),
}


class Masker:
    """Masks one channel's texts: `kinds` of details, phones as its `language` writes them."""

    def __init__(self, kinds: Collection[str] = KINDS, language: str = "") -> None:
        self._kinds = frozenset(kinds)
        self._regions = regions(language)

    def mask(self, text: str) -> tuple[str, dict[str, int]]:
        """The text with its private details replaced, and how many of each kind; twice changes nothing."""
        if text.isascii() and not _SIGN.search(text) and max(map(len, text.split()), default=0) < _RUN:
            return text, {}
        narrow = text.translate(_NARROW) if _WIDE.search(text) else text
        masked, counts = self._mask(narrow)
        return (masked, counts) if counts else (text, {})

    def _mask(self, text: str) -> tuple[str, dict[str, int]]:
        if not _SUSPECT.search(text):
            return text, {}
        counts: Counter[str] = Counter()
        before = ""
        # What is replaced may lay bare a neighbour that was glued to it.
        while before != text:
            before = text
            for kind, step in self._steps.items():
                text, n = step(text)
                counts[kind] += n
        return text, {kind: n for kind, n in counts.items() if n}

    @cached_property
    def _steps(self) -> dict[str, Callable[[str], tuple[str, int]]]:
        steps: dict[str, Callable[[str], tuple[str, int]]] = {
            "key": mask_keys,
            "email": lambda text: _EMAIL.subn("<email>", text) if "@" in text else (text, 0),
            "identity": lambda text: _checked(_IDENTITY, _is_identity, "<identity>", text),
            "card": _cards,
            "ip": lambda text: _checked(_IP, _is_ip, "<ip>", text),
            "phone": self._phones,
        }
        return {kind: step for kind, step in steps.items() if kind in self._kinds}

    def _phones(self, text: str) -> tuple[str, int]:
        if not _DIALLED.search(text):
            return text, 0
        found = 0
        if "CN" in self._regions or _CHINESE.search(text):
            text, found = _CHINESE_MOBILE.subn("<phone>", text)
        for region in self._regions if _DIALLED.search(text) else ():
            text, n = _phones_of(text, region)
            found += n
        return text, found


def regions(language: str) -> tuple[str, ...]:
    """The countries whose phones a channel of this language holds: `zh` CN, `de-AT` AT, none US and CN."""
    if not language:
        return ("US", "CN")
    first, _, country = language.replace("_", "-").partition("-")
    if len(country) == 2:
        return (country.upper(),)
    return _REGIONS.get(first.lower(), (first.upper(),))


def _phones_of(text: str, region: str) -> tuple[str, int]:
    import phonenumbers

    parts, end = [], 0
    for match in phonenumbers.PhoneNumberMatcher(text, region, leniency=phonenumbers.Leniency.VALID):
        if _stands_alone(text, match.start, match.end) and not _is_order_number(match.raw_string):
            parts += [text[end : match.start], "<phone>"]
            end = match.end
    return "".join([*parts, text[end:]]), len(parts) // 2


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether a number is no part of a longer one, such as 123-4567890-1234567."""
    before, after = text[max(start - 2, 0) : start], text[end : end + 2]
    glued_before = re.search(r"[0-9][\-._/#]?$|[#_]$", before)
    return glued_before is None and re.match(r"[\-._/]?[0-9]", after) is None


def _is_order_number(number: str) -> bool:
    """Eleven digits or more in a row, neither + nor 0 before them (Chinese mobiles have their own rule)."""
    bare = number.isdigit() and len(number) >= 11
    return bare and not (number.startswith("0") and len(number) <= 12)


def _cards(text: str) -> tuple[str, int]:
    text, accounts = _accounts(text)
    text, cards = _checked(_CARD, _is_card, "<card>", text)
    return text, accounts + cards


def _checked(pattern: re.Pattern[str], holds: Callable[[str], bool], put: str, text: str) -> tuple[str, int]:
    """Replace the matches of `pattern` whose checksum holds."""
    found = 0

    def replace(match: re.Match[str]) -> str:
        nonlocal found
        if not holds(match[0]):
            return match[0]
        found += 1
        return put

    return pattern.sub(replace, text), found


def _is_card(text: str) -> bool:
    digits = re.sub(r"[ \-]", "", text)
    return _CARD_START.match(digits) is not None and len(set(digits)) > 1 and luhn(digits)


def luhn(digits: str) -> bool:
    """The checksum of card numbers (ISO/IEC 7812-1)."""
    total = 0
    for i, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + i % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _is_identity(text: str) -> bool:
    """A birthday and the check character of GB 11643-1999 (ISO 7064 MOD 11-2)."""
    try:
        date(int(text[6:10]), int(text[10:12]), int(text[12:14]))
    except ValueError:
        return False
    total = sum(int(digit) * (2 ** (17 - i) % 11) for i, digit in enumerate(text[:17]))
    return "10X98765432"[total % 11] == text[17].upper()


def _accounts(text: str) -> tuple[str, int]:
    """IBANs of their country's length whose mod 97 is 1; what stands behind one stays."""
    found = 0

    def replace(match: re.Match[str]) -> str:
        nonlocal found
        letters = [i for i, character in enumerate(match[0], start=1) if character != " "]
        length = _IBAN_LENGTHS.get(match[0][:2], len(letters) + 1)
        if length > len(letters):
            return match[0]
        iban, rest = match[0][: letters[length - 1]].replace(" ", ""), match[0][letters[length - 1] :]
        if rest[:1].isalnum() or not _mod97(iban):
            return match[0]
        found += 1
        return "<card>" + rest

    return _IBAN.sub(replace, text), found


def _mod97(iban: str) -> bool:
    moved = iban[4:] + iban[:4]
    return int("".join(str(int(character, 36)) for character in moved)) % 97 == 1


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
