"""Bodies of the API as pydantic models: what is checked is what /openapi.json says."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

LONGEST, MOST = 20_000, 64
ANSWER_ID = "answer-id"  # a format that tells tests, and readers, which fields name somebody's answer


def readable(text: str) -> str:
    """The text; raises ValueError where it is empty or holds a NUL."""
    if not text.strip():
        raise ValueError("The text is empty.")
    if "\x00" in text:
        raise ValueError("The text holds a NUL character; remove it.")
    return text


Text = Annotated[str, Field(max_length=LONGEST), AfterValidator(readable)]
Short = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(readable)]


class Body(BaseModel):
    """Base of what is sent to us: unknown fields are mistakes, and no value is bent into another type."""

    model_config = ConfigDict(extra="forbid", strict=True)


class PredictRequest(Body):
    """One `text`, or several as `texts`; `task` may be left out where the channel has only one.

    `person` is an id of yours for the end user who asks, the same for the same user; it need not, and should
    not, tell who that is. Only a salted hash of it is stored.
    """

    task: Short | None = Field(default=None, examples=["intent"])
    text: Text | None = Field(default=None, examples=["How do I add a channel?"])
    texts: Annotated[list[Text], Field(min_length=1, max_length=MOST)] | None = None
    person: Short | None = Field(default=None, examples=["user-17"])

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.text is None) == (self.texts is None):
            raise ValueError("Send either `text` or `texts`.")
        return self

    @property
    def asked(self) -> list[str]:
        """The texts, in order."""
        return self.texts if self.texts is not None else [self.text or ""]


class StreamLine(Body):
    """One question of a stream. Its answer carries the `id`, a name of yours that need not be unique.

    `person` is an id of yours for the end user who asks; only a salted hash of it is stored.
    """

    text: Text = Field(examples=["How do I add a channel?"])
    id: Short | None = Field(default=None, examples=["row-1"])
    task: Short | None = Field(default=None, examples=["intent"])
    person: Short | None = Field(default=None, examples=["user-17"])


class FeedbackRequest(Body):
    """What a person said of an answer; a `label` goes with a correction, and only with one.

    `person` is an id of yours for who said it, the same for the same person; it need not, and should not, tell
    who that is. Only a salted hash of it is stored. Left out, it is who asked, where the question named one.
    """

    answer: str = Field(
        min_length=1, max_length=64, json_schema_extra={"format": ANSWER_ID}, examples=["ans_5f0c"]
    )
    verdict: Literal["right", "wrong", "correction"]
    label: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(readable)] | None = None
    person: Short | None = None


class AnswerBody(BaseModel):
    """One answer. Name its `id` in feedback.

    `scores` are the best five labels by the adapter's probability. `because` is the id of the correction that
    decided, or null; where there is one, `confidence` is still the adapter's probability of the label.
    `release` is the release by which it was given, or the trial, where an adapter on trial answers this user.
    """

    id: str
    label: str
    confidence: float
    scores: dict[str, float]
    release: str
    adapter: str
    because: str | None


class PredictResponse(BaseModel):
    """The answers in the order of the texts; one text gives a list of one."""

    answers: list[AnswerBody]


class FieldMistake(BaseModel):
    """One mistake of a body."""

    field: str
    detail: str


class ProblemBody(BaseModel):
    """A problem document of RFC 9457; `field` and `errors` come with 422 alone."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    field: str | None = None
    errors: list[FieldMistake] | None = None


class StreamedLine(BaseModel):
    """One line of a stream's response: the answer, or the problem document in its place.

    Where a spent quota or a store that takes nothing ends the stream, a last line has `stopped`, the problem
    document with `retry_after` in seconds, and `read`, the number of lines that were read.
    """

    line: int
    id: str | None = None
    answer: AnswerBody | None = None
    problem: ProblemBody | None = None


class FeedbackResponse(BaseModel):
    """The feedback's id; it is stored. `counted` says that it counts: a correction is in effect.

    Where it is held, `reason` says why.
    """

    id: str
    counted: bool
    reason: str | None


class StateResponse(BaseModel):
    """A word on the server's state."""

    status: Literal["ok", "ready"]
