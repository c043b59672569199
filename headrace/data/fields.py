"""Which columns of a source hold text, label and split, and one record -> Raw."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.data.connectors import Broken, Raw
from headrace.errors import InputError
from headrace.records import Split

TEXTS = ("text", "sentence", "query", "content", "question", "review", "utterance", "comment", "message")
LABELS = ("label", "intent", "sentiment", "category")
SPLITS: Mapping[str, Split] = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
}


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that hold text, label and split; None where a source has none."""

    text: str
    label: str | None = None
    split: str | None = None

    def raw(self, record: Mapping[str, Any], place: str, split: Split | None = None) -> Raw | Broken:
        """The Raw of one record; `split` is what its file says where the record says nothing."""
        if self.text not in record:
            detail = f"no {self.text!r}, but {', '.join(map(str, record)) or 'nothing'}"
            return Broken(place, escaped(str(dict(record))), "missing field", detail)
        try:
            said = scalar(record.get(self.split)) if self.split else None
            text = scalar(record[self.text])
            label = scalar(record.get(self.label)) if self.label else None
            return Raw(text or "", (label or "").strip() or None, split_named(said) or split, place)
        except ValueError as error:
            return Broken(place, escaped(str(dict(record))), "not text", str(error))


def choose(
    there: Sequence[str], *, text: str | None, label: str | None, split: str | None, where: str
) -> Columns:
    """The columns as the recipe names them, guessed where it does not.

    Raises InputError with the columns there are where one is missing.
    """
    for option, name in (("text", text), ("label", label), ("split", split)):
        if name is not None and name not in there:
            raise InputError(
                f"there is no column {name!r}.", where=where, field=option, cure=_nearest(name, there)
            )
    found = text or _guess(TEXTS, there)
    if found is None:
        raise InputError(
            "no column is called like a text.",
            where=where,
            field="text",
            cure=f"Set options.text to one of: {', '.join(there)}.",
        )
    rest = [name for name in there if name != found]
    return Columns(found, label or _guess(LABELS, rest), split or _guess(("split",), rest))


def split_named(name: str | None) -> Split | None:
    """The split that a source calls `name`; raises ValueError where it is none."""
    if name is None or not name.strip():
        return None
    found = SPLITS.get(name.strip().lower())
    if found is None:
        raise ValueError(f"{name!r} is no split; write train, validation or test")
    return found


def scalar(value: Any) -> str | None:
    """A field as text; None stays None. Raises ValueError for lists and mappings."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes | list | tuple | Mapping):
        raise ValueError(f"a {type(value).__name__} stands where a text belongs")
    return str(value).lower() if isinstance(value, bool) else str(value)


def escaped(text: str) -> str:
    """Text that any database takes: NUL characters and lone surrogates written out."""
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")


def _guess(names: Sequence[str], there: Sequence[str]) -> str | None:
    by_lower = {name.strip().lower(): name for name in reversed(there)}
    return next((by_lower[name] for name in names if name in by_lower), None)


def _nearest(name: str, there: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, there, n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    return f"{hint}There are: {', '.join(there)}."
