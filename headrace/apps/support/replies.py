"""What the machine says in words of its own, in English and Chinese; everything else is the owner's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Literal

Said = Literal["greeting", "ask", "hand_over", "asked", "angry", "closed", "unknown", "noted"]

SENTENCES: Mapping[str, Mapping[Said, str]] = {
    "en": {
        "greeting": (
            "Hello! A machine answers here; what it is not sure of, a person answers."
            " What would you like to know?"
        ),
        "ask": "I am not sure that I understood. Which of these do you mean?",
        "hand_over": "I am not sure enough to answer this by myself. A person will answer you here.",
        "asked": "A person will answer you here. You can add what they should know.",
        "angry": "I am sorry about that. A person will answer you here.",
        "closed": (
            "Nobody is here at the moment. Your question is kept, and a person will answer it{when}."
            " Leave an e-mail address or a number if you would like the answer there."
        ),
        "unknown": "I do not know the answer. A person will answer you here.",
        "noted": "Thank you. A person will look at what you wrote.",
    },
    "zh": {
        "greeting": "您好！这里由机器回答；它没有把握的问题由人工回答。请问您想了解什么？",
        "ask": "我不确定是否理解了您的问题。您想问的是下面哪一个？",
        "hand_over": "这个问题我没有足够把握单独回答。人工客服会在这里回复您。",
        "asked": "人工客服会在这里回复您。您可以先补充需要说明的情况。",
        "angry": "非常抱歉给您带来不便。人工客服会在这里回复您。",
        "closed": (
            "现在没有人工客服在线。您的问题已经记下，人工客服{when}会回复。"
            "如果希望在别处收到答复，请留下邮箱或电话。"
        ),
        "unknown": "我不知道这个问题的答案。人工客服会在这里回复您。",
        "noted": "谢谢。您写的内容会有人查看。",
    },
}
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")
_LETTER = re.compile(r"[A-Za-z\u00c0-\u024f]")
_RATIO = 4  # Latin letters that one Chinese character stands beside: a word of English


def language_of(text: str, otherwise: str = "en") -> str:
    """zh or en by the script of a text; `otherwise` where it has neither."""
    han, latin = len(_HAN.findall(text)), len(_LETTER.findall(text))
    if not han and not latin:
        return spoken(otherwise)
    return "zh" if han * _RATIO >= latin else "en"


def spoken(language: str) -> str:
    """The language of ours that is nearest to `language`."""
    return "zh" if language.lower().startswith("zh") else "en"


def say(what: Said, language: str) -> str:
    """A sentence of ours."""
    return SENTENCES[spoken(language)][what]


def closed(language: str, opening: datetime | None) -> str:
    """That nobody is there, and when somebody is again, where that is known."""
    if spoken(language) == "zh":
        when = "稍后" if opening is None else f"最早{opening:%m月%d日 %H:%M}（{opening.tzname()}）起"
    else:
        when = "" if opening is None else f", from {opening:%Y-%m-%d %H:%M} ({opening.tzname()}) on"
    return say("closed", language).format(when=when)
