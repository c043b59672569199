"""generate: text from a causal language model, token by token, with its chat template and a cache of keys.

The loop is our own, so that an answer can be stopped between two tokens, and at the same seed is the same; what
each token costs (cache, temperature, top-k, top-p) is transformers', and texts are cut at whole characters by
tokenizers' DecodeStream. Nucleus sampling: Holtzman et al. 2020, arXiv 1904.09751.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers.decoders import DecodeStream
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    DynamicCache,
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from headrace.errors import ArtifactError, InputError, NotFound
from headrace.models.encoder_torch import fast_device, fast_dtype
from headrace.models.tasks.generate import PACKAGED, Piece, Sampling, folder, wants_code

_STEP = 256  # tokens of a prompt that are read at once; between two the answer can be stopped


class Generator:
    """A loaded model. One answer at a time: it holds no lock."""

    def __init__(self, name: str, model: Any, tokenizer: Any) -> None:
        self.name, self._model, self._tokenizer = name, model, tokenizer
        if not tokenizer.chat_template:
            raise ArtifactError(
                f"the model {name!r} has no chat template.",
                cure="Name one that was trained to answer.",
            )
        ends = model.generation_config.eos_token_id
        known = ends if isinstance(ends, list) else [ends]
        self._ends = {*known, tokenizer.eos_token_id} - {None}
        added: list[str] = list(tokenizer.get_added_vocab())
        self._special = sorted(added, key=len, reverse=True)

    @classmethod
    def load(
        cls, name: str = PACKAGED, cache: Path = Path(".cache"), *, threads: int | None = None
    ) -> Generator:
        """The packaged model, a folder's or the hub's, on the GPU where there is one; `threads` of the process.

        Raises NotFound where there is none of that name, ArtifactError where it cannot be used or wants to run
        code, MissingExtra where the packaged one is not installed.
        """
        if threads is not None:
            torch.set_num_threads(threads)
        where, dtype = folder(name, cache), fast_dtype()
        safe = {"trust_remote_code": False}
        try:
            tokenizer = AutoTokenizer.from_pretrained(where, **safe)
            model = AutoModelForCausalLM.from_pretrained(where, dtype=dtype, use_safetensors=True, **safe)
        except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
            raise _unusable(name, error) from error
        placed: Any = model
        return cls(name, placed.to(fast_device()).eval(), tokenizer)

    @property
    def context(self) -> int:
        """Tokens that prompt and answer have together, at most."""
        return int(getattr(self._model.config, "max_position_embeddings", 2048))

    def prompt(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """The token ids of a conversation, as the model's chat template writes it.

        What looks like a sign of the template inside a message is taken out: nobody speaks in another's name.
        Raises InputError where the template takes no such conversation.
        """
        said = [{"role": one["role"], "content": self._plain(one["content"])} for one in messages]
        try:
            text = self._tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=True)
        except Exception as error:  # a template raises whatever its author wrote
            raise InputError(f"the model takes no such conversation: {error}.", field="messages") from error
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    @torch.inference_mode()
    def stream(
        self, prompt: Sequence[int], sampling: Sampling, stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[Piece]:
        """Pieces of the answer as they come; where `stopped` becomes true it ends without a last piece.

        Raises InputError where the prompt leaves no room for an answer.
        """
        room = self.context - len(prompt)
        if room < 1:
            raise InputError(
                f"the prompt has {len(prompt)} tokens, and the model reads {self.context}.", field="messages"
            )
        most = min(sampling.tokens, room)
        decode, cut = DecodeStream(skip_special_tokens=True), Cut(sampling.stop)
        for count, token in enumerate(self._tokens(prompt, sampling, stopped), start=1):
            if token in self._ends:
                yield Piece(cut.rest(), count, "stop")
                return
            text = cut.take(decode.step(self._tokenizer.backend_tokenizer, token) or "")
            if cut.ended:
                yield Piece(text, count, "stop")
                return
            if count == most:
                yield Piece(text + cut.rest(), count, "length")
                return
            if text:
                yield Piece(text, count)

    def _tokens(
        self, prompt: Sequence[int], sampling: Sampling, stopped: Callable[[], bool]
    ) -> Iterator[int]:
        ids = torch.tensor([prompt], device=self._model.device)
        cache, choose = DynamicCache(config=self._model.config), _chooser(sampling, self._model.device)
        last = ids
        for start in range(0, len(prompt), _STEP):
            if stopped():
                return
            last = self._read(ids[:, start : start + _STEP], cache)
        while not stopped():
            token = choose(last)
            yield token
            last = self._read(torch.tensor([[token]], device=ids.device), cache)

    def _read(self, ids: torch.Tensor, cache: DynamicCache) -> torch.Tensor:
        """The scores [1, V] of what may follow `ids` [1, L]."""
        read = self._model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        scores: torch.Tensor = read.logits[:, -1].float()
        return scores

    def _plain(self, text: str) -> str:
        before = ""
        while before != text:  # what is taken out may join its neighbours to another sign
            before = text
            for sign in self._special:
                text = text.replace(sign, "")
        return text


class Cut:
    """Text as it comes, up to the first of the `stop` texts; what may be the beginning of one is held back."""

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop, self._held, self.ended = stop, "", False

    def take(self, piece: str) -> str:
        """What can be given out now."""
        self._held += piece
        found = [at for stop in self._stop if (at := self._held.find(stop)) >= 0]
        if found:
            self.ended, self._held = True, self._held[: min(found)]
            return self.rest()
        keep = max((_overlap(self._held, stop) for stop in self._stop), default=0)
        ready, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return ready

    def rest(self) -> str:
        """What was held back."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """Characters at the end of `text` with which `stop` begins."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:n])), 0)


def _chooser(sampling: Sampling, device: torch.device) -> Callable[[torch.Tensor], int]:
    if sampling.temperature == 0:
        return lambda scores: int(scores.argmax())
    warp = LogitsProcessorList([TemperatureLogitsWarper(float(sampling.temperature))])
    if sampling.top_k:
        warp.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        warp.append(TopPLogitsWarper(float(sampling.top_p)))
    drawn = torch.Generator(device=device).manual_seed(sampling.seed)
    shape: Any = warp
    none: Any = torch.empty((1, 0), dtype=torch.long, device=device)
    return lambda scores: int(torch.multinomial(shape(none, scores).softmax(-1), 1, generator=drawn))


def _unusable(name: str, error: Exception) -> ArtifactError | NotFound:
    said = (str(error).splitlines() or [type(error).__name__])[0][:300]
    if "trust_remote_code" in str(error) or "custom code" in str(error):
        return wants_code(name)
    if isinstance(error, OSError) and not Path(name).exists():
        return NotFound(
            f"there is no language model {name!r}: {said}",
            cure=f"Known: {PACKAGED}; a folder; a name on the hub.",
        )
    return ArtifactError(
        f"the language model {name!r} cannot be used: {said}",
        cure="It must be a causal model in safetensors.",
    )
