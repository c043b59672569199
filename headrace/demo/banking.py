"""BANKING77 (Casanueva et al. 2020, CC BY 4.0) in the place of the help desk: `demo --data banking77`."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path

from headrace.demo.questions import Material, Question
from headrace.errors import MissingExtra, NotFound

HUB = "PolyAI/banking77"
NEEDED = "Set HEADRACE_DATA to a folder that has banking77/train.csv and banking77/test.csv (text,intent)."


def material(*, live: int) -> Material:
    """The official training and test rows; `live` questions are drawn from the training rows by their hash.

    Raises NotFound where neither the folder that HEADRACE_DATA names nor the hub has the set.
    """
    folder = Path(os.environ.get("HEADRACE_DATA", "")) / "banking77"
    fetch = _from_folder(folder) if folder.is_dir() else _from_hub()
    train, test = (_rows(fetch(f"{split}.csv")) for split in ("train", "test"))
    official = {text for text, _ in test}
    ordered = sorted(dict.fromkeys(train), key=lambda row: hashlib.sha256(row[0].encode()).hexdigest())
    asked = [row for row in ordered if row[0] not in official][:live]
    kept = [row for row in train if row not in set(asked)]
    rows = [{"text": text, "label": label, "split": "train"} for text, label in kept]
    rows += [{"text": text, "label": label, "split": "test"} for text, label in test]
    return Material(rows, tuple(Question(text, label) for text, label in asked))


def _from_folder(folder: Path) -> Callable[[str], str]:
    return lambda name: (folder / name).read_text(encoding="utf-8")


def _from_hub() -> Callable[[str], str]:
    try:
        import huggingface_hub
    except ModuleNotFoundError as error:
        raise MissingExtra("BANKING77 from the hub", "train") from error

    def fetch(name: str) -> str:
        try:
            path = huggingface_hub.hf_hub_download(HUB, name, repo_type="dataset", etag_timeout=10)
        except (OSError, ValueError, RuntimeError) as error:
            raise NotFound(
                "BANKING77 is neither in HEADRACE_DATA nor to be had from the hub.", cure=NEEDED
            ) from error
        return Path(path).read_text(encoding="utf-8")

    return fetch


def _rows(text: str) -> list[tuple[str, str]]:
    found = csv.DictReader(io.StringIO(text))
    names = found.fieldnames or []
    label = "intent" if "intent" in names else "category" if "category" in names else ""
    if not label or "text" not in names:
        raise NotFound(f"BANKING77 has the columns {', '.join(names)}, not text and intent.", cure=NEEDED)
    return [(row["text"].strip(), row[label]) for row in found]
