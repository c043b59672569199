"""A frozen base by name: a transformers folder on disk, its text prefix, and the hash of its weights.

A name is a packaged base, a folder, or the id of a repository on the Hugging Face hub. Nothing here needs
torch: the folder is read by `tokenizers` and `safetensors`, by the exporter and by the trainer alike.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from headrace.errors import ArtifactError, MissingExtra, NotFound
from headrace.models import packaged

NEEDED = ("config.json", "model.safetensors", "tokenizer.json")


@dataclass(frozen=True)
class BaseFolder:
    """A base on disk. `prefix` goes before each text, `pooling` makes one vector of its token vectors."""

    name: str
    path: Path
    prefix: str = ""
    pooling: Literal["mean"] = "mean"

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the weights file, in hex; read once per process and file."""
        weights = self.path / "model.safetensors"
        stat = weights.stat()
        return _digest(str(weights), stat.st_size, stat.st_mtime_ns)

    @cached_property
    def config(self) -> dict[str, Any]:
        """config.json; raises ArtifactError where it is not a JSON object."""
        return _json_object(self.path / "config.json")

    @property
    def width(self) -> int:
        """Numbers in one embedding."""
        return int(self.config["hidden_size"])

    @property
    def layers(self) -> int:
        """Transformer layers."""
        return int(self.config["num_hidden_layers"])

    def tokenizer(self, longest: int) -> Tokenizer:
        """The base's tokenizer, cut at `longest` tokens and without padding.

        Raises ArtifactError where tokenizer.json cannot be read.
        """
        try:
            tokenizer = Tokenizer.from_file(str(self.path / "tokenizer.json"))
        except Exception as error:  # tokenizers raises a bare Exception
            raise ArtifactError(f"the tokenizer cannot be read: {error}.", where=str(self.path)) from error
        tokenizer.no_padding()
        tokenizer.enable_truncation(longest)
        return tokenizer


def tokenise(tokenizer: Tokenizer, texts: Sequence[str], prefix: str = "") -> list[NDArray[np.int32]]:
    """The token ids of each text with `prefix` before it, special tokens included."""
    found = tokenizer.encode_batch_fast([prefix + text for text in texts])
    return [np.asarray(encoding.ids, dtype=np.int32) for encoding in found]


def resolve(name: str, cache: Path) -> BaseFolder:
    """The base called `name`; packaged ones that need decoding are decoded once into `cache`.

    Raises NotFound where nothing has that name, MissingExtra where a packaged base is not installed, and
    ArtifactError where a folder lacks a file or holds one that cannot be read.
    """
    short = packaged.ALIASES.get(name, name)
    if short in packaged.PACKAGED:
        return _checked(BaseFolder(short, packaged.folder(short, cache), _prefix(short)))
    if Path(name).is_dir():
        return _checked(BaseFolder(name, Path(name).resolve(), _prefix(Path(name).name)))
    if name.count("/") == 1 and not name.startswith((".", "/", "~")):
        return _checked(BaseFolder(name, _hub(name), _prefix(name)))
    near = difflib.get_close_matches(name, packaged.PACKAGED, n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    raise NotFound(f"there is no base {name!r}.", cure=f"{hint}{_known()}")


def _known() -> str:
    return f"Known: {', '.join(packaged.PACKAGED)}; or a folder; or an id of the Hugging Face hub."


def _prefix(name: str) -> str:
    """E5 models were trained with one (Wang et al. 2024, arXiv 2402.05672)."""
    return "query: " if "e5" in name.lower().replace("/", "-").split("-") else ""


def _hub(name: str) -> Path:
    try:
        import huggingface_hub
    except ModuleNotFoundError as error:
        raise MissingExtra(f"The base {name!r}", "train") from error
    try:
        return Path(huggingface_hub.snapshot_download(name, allow_patterns=list(NEEDED), etag_timeout=10))
    except (OSError, ValueError, RuntimeError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise NotFound(f"the base {name!r} cannot be had from the hub: {said}", cure=_known()) from error


def _checked(base: BaseFolder) -> BaseFolder:
    missing = [file for file in NEEDED if not (base.path / file).is_file()]
    if missing:
        raise ArtifactError(
            f"the base {base.name!r} lacks {', '.join(missing)}.",
            where=str(base.path),
            cure="Name a folder that transformers saved, with its fast tokenizer.",
        )
    if base.config.get("model_type") not in ("bert", "roberta", "xlm-roberta"):
        raise ArtifactError(
            f"the base {base.name!r} is of type {base.config.get('model_type')!r}.",
            where=str(base.path),
            cure="Name a base of the BERT family: bert, roberta or xlm-roberta.",
        )
    return base


def _json_object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"cannot be read: {error}.", where=str(path)) from error
    if not isinstance(found, dict):
        raise ArtifactError("is not a JSON object.", where=str(path))
    return found


@lru_cache(maxsize=64)
def _digest(path: str, size: int, changed: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
