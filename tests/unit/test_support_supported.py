"""What a passage says and what it does not: words, numbers, addresses, and the small words that turn it round."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from headrace.apps.support.writing.supported import supports
from headrace.records import Passage

EN = (
    "You can return unused items within 30 days of delivery. Refunds are paid to your card in 5 days. "
    "Delivery inside Germany takes 3 days and is free from €50. We do not ship batteries. "
    "If a parcel is damaged, write to help@shop.example or call +49 30 1234567. "
    "Tracking is at https://shop.example/track?id=1. Gift cards can be used online. They never expire."
)
ZH = "收到货后7天内可以申请退款。退款会在3个工作日内退回原支付账户。生鲜商品不支持退换。客服电话：400-123-4567。"


def passage(text: str, title: str = "") -> Passage:
    return Passage("p", "d", None, "", title, text, 1, datetime(2026, 3, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    "sentence",
    [
        "You can return unused items within 30 days of delivery.",
        "Unused items can be returned within 30 days of the delivery.",
        "Refunds are paid in 5 days.",
        "We don't ship batteries.",
        "If your parcel is damaged, call +49 30 1234567.",
        "If the parcel is damaged, write to HELP@shop.example.",
        "Tracking: https://shop.example/track?id=1",
        "Inside Germany the delivery takes 3 days and is free from €50.",
    ],
)
def test_it_is_said(sentence: str) -> None:
    assert supports(passage(EN), sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "You can return unused items within 60 days of delivery.",
        "You can return items in any condition within 30 days.",
        "Refunds are paid in 3 days.",  # the 3 days of another sentence
        "We do ship batteries.",
        "We ship batteries.",
        "Gift cards expire.",
        "Gift cards never work online.",
        "Write to help@shop.example.",  # only where a parcel is damaged
        "If a parcel is damaged, write to help@shop.example.evil.example.",
        "If a parcel is damaged, call +49 30 7654321.",
        "If a parcel is damaged, call 1234567 +49 30.",
        "Tracking is at https://evil.example/track?id=1.",
        "Delivery inside Germany is free from $50.",
        "Can you return unused items within 30 days of delivery?",
        "You can return unused items within 30\u200b days of delivery.",
        "You can return unused items within 30 days <b> of delivery.",
        "Yοu can return unuѕed items within 30 days.",  # Greek and Cyrillic letters in it
        "You can return unused items.",  # within which days?
        "Unused items are free from €50.",  # two sentences mixed
        "Delivery inside Germany: 3 days.",
        "Gift cards:",
        "Yes.",
        "30.",
        "",
    ],
)
def test_it_is_not_said(sentence: str) -> None:
    assert not supports(passage(EN), sentence)


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("收到货后7天内您可以申请退款。", True),
        ("退款会在3个工作日内退回您的原支付账户。", True),
        ("生鲜商品不支持退换。", True),
        ("客服电话是400-123-4567。", True),
        ("收到货后30天内可以申请退款。", False),
        ("生鲜商品支持退换。", False),
        ("客服电话是400-123-4568。", False),
        ("退款会退回您的银行卡。", False),
        ("您好！", False),
        ("收到货后7天内可以申请退款吗？", False),
    ],
)
def test_in_chinese(sentence: str, said: bool) -> None:
    assert supports(passage(ZH), sentence) == said


def test_a_title_adds_words_and_is_no_answer_by_itself() -> None:
    found = passage("It takes 5 days.", "Refunds to a credit card")
    assert supports(found, "Refunds to a credit card take 5 days.")
    assert not supports(found, "Refunds to a credit card: 5.")  # mostly the title's words
    assert not supports(found, "Refunds to a credit card.")
