"""What POST /v1/chat/completions takes. What would change an answer and is not done here is refused."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from headrace.models.tasks.generate import Sampling
from headrace.web.openai_chat import StreamOptions, Turn

TOKENS = 512
"""Tokens of an answer where the request names no limit."""


class ChatRequest(BaseModel):
    """A conversation to go on with; `top_k` is an addition to OpenAI's fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    model: str = Field(min_length=1, max_length=200)
    messages: tuple[Turn, ...] = Field(min_length=1, max_length=256)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=0)
    seed: int | None = Field(None, ge=0, lt=2**63)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    stop: str | tuple[str, ...] | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: Literal[1] | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None
    presence_penalty: Annotated[float, Field(ge=0, le=0)] | None = None
    frequency_penalty: Annotated[float, Field(ge=0, le=0)] | None = None

    @field_validator("stop")
    @classmethod
    def _few_stops(cls, stop: str | tuple[str, ...] | None) -> tuple[str, ...]:
        stops = (stop,) if isinstance(stop, str) else stop or ()
        if len(stops) > 4 or not all(0 < len(text) <= 200 for text in stops):
            raise ValueError("It is one text, or four at most, each of 1 to 200 characters.")
        return stops

    def sampling(self, seed: int) -> Sampling:
        """How the answer is drawn, with `seed` where the request names none."""
        return Sampling(
            temperature=1.0 if self.temperature is None else self.temperature,
            top_p=1.0 if self.top_p is None else self.top_p,
            top_k=self.top_k or 0,
            seed=seed if self.seed is None else self.seed,
            stop=tuple(self.stop or ()),
            tokens=self.max_completion_tokens or self.max_tokens or TOKENS,
        )
