"""What the widget sends."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from headrace.apps.support.desk import LONGEST
from headrace.web.api.schemas import Body, readable

Line = Annotated[str, Field(max_length=200), AfterValidator(readable)]


class Begin(Body):
    """A new conversation, in the language of the page."""

    language: Literal["en", "zh"] = "en"


class Say(Body):
    """A message; `id` is the widget's own, and the same again is the same message."""

    id: Annotated[str, Field(pattern=r"^[0-9A-Za-z_-]{8,64}$")]
    text: Annotated[str, Field(max_length=LONGEST), AfterValidator(readable)]


class Person(Body):
    """A person, please; `contact` is where the visitor would like a late answer."""

    contact: Line | None = None


class Judge(Body):
    """What a visitor says of an answer: thumbs, one of the choices, or what would have been right."""

    message: Annotated[str, Field(min_length=1, max_length=64)]
    verdict: Literal["right", "wrong", "correction"]
    label: Line | None = None
    text: Annotated[str, Field(max_length=LONGEST), AfterValidator(readable)] | None = None
