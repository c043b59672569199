"""Planted private details are found, and look-alikes stay (OWASP LLM02: sensitive information disclosure)."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from data_parts import bring, feed, recipe

from headrace.data.mask import Masker, regions
from headrace.store import Store

CANARIES = [
    ("en", "mail jane.doe+x@mail.example.co.uk, please", "mail <email>, please"),
    ("zh", "邮箱zhang_san@qq.com谢谢", "邮箱<email>谢谢"),
    ("zh", "电话13800138000谢谢", "电话<phone>谢谢"),
    ("zh", "电话１３８００１３８０００谢谢", "电话<phone>谢谢"),
    ("zh", "+86 138 0013 8000", "<phone>"),
    ("zh", "座机010-62345678转1", "座机<phone>转1"),
    ("en", "call (415) 555-2671 now", "call <phone> now"),
    ("en", "call 415-555-2671.", "call <phone>."),
    ("en", "UK: +44 20 7946 0958", "UK: <phone>"),
    ("de", "Tel. 030 901820", "Tel. <phone>"),
    ("fr", "au 06 12 34 56 78 svp", "au <phone> svp"),
    ("", "ring 415-555-2671 or 13800138000 吧", "ring <phone> or <phone> 吧"),
    ("en", "card 4111 1111 1111 1111 ok", "card <card> ok"),
    ("en", "5500-0055-5555-5559", "<card>"),
    ("zh", "卡号6222020200112230004。", "卡号<card>。"),
    ("en", "DE89 3704 0044 0532 0130 00 is mine", "<card> is mine"),
    ("en", "IBAN GB82WEST12345698765432", "IBAN <card>"),
    ("zh", "身份证11010519491231002X。", "身份证<identity>。"),
    ("en", "my key hr_live_AbCdEf123456789012345 fails", "my key <key> fails"),
    ("en", "sk-proj-abcdefghij0123456789", "<key>"),
    ("en", "AKIAIOSFODNN7EXAMPLE", "<key>"),
    ("en", "ghp_abcdefghijklmnopqrstuvwxyz0123456789", "<key>"),
    ("en", "token: 9f8a7b6c5d4e3f2a1b0c", "token: <key>"),
    ("zh", "13800138000sk-abcdefghij0123456789", "<phone><key>"),
    ("zh", "密码是 a8Xk29fjQw03nsPz", "密码是 <key>"),
]

LOOK_ALIKES = [
    ("en", "order 12025550123 is late"),
    ("zh", "订单号20261124123456789"),
    ("zh", "单号13800138000123"),
    ("en", "order 123-4567890-1234567"),
    ("en", "card ending 1111"),
    ("en", "4111 1111 1111 1112"),
    ("zh", "110105194912310021"),
    ("zh", "11010519491331002X"),
    ("en", "DE89 3704 0044 0532 0130 01"),
    ("en", "on 2026-11-24 10:30:00 it broke"),
    ("en", "version 10.0.2.15 of the app"),
    ("en", "price 1,299.00 or 1299"),
    ("en", "the key is internationalization-friendly"),
    ("en", "my key starts with hr_live_, why 401?"),
    ("en", "meet @ 5 p.m."),
    ("en", "@someone wrote this"),
    ("zh", "打了八折才12345678元"),
    ("en", "already <email> and <phone>"),
]


@pytest.mark.parametrize(("language", "text", "masked"), CANARIES)
def test_planted_details_are_masked_and_counted(language: str, text: str, masked: str) -> None:
    masker = Masker(language=language)
    said, counts = masker.mask(text)
    assert said == masked
    assert sum(counts.values()) == masked.count("<")
    assert masker.mask(said) == (said, {})


@pytest.mark.parametrize(("language", "text"), LOOK_ALIKES)
def test_look_alikes_stay(language: str, text: str) -> None:
    assert Masker(language=language).mask(text) == (text, {})


def test_only_what_the_recipe_names_is_masked() -> None:
    text = "a@b.example from 10.0.0.1 and ::1 or fe80::1, 13800138000"
    assert Masker(["ip"], "zh").mask(text) == (
        "a@b.example from <ip> and <ip> or <ip>, 13800138000",
        {"ip": 3},
    )
    assert Masker([], "zh").mask(text) == (text, {})


def test_a_language_names_the_countries_whose_phones_it_brings() -> None:
    assert regions("zh-TW") == ("TW",)
    assert regions("en") == ("US", "GB")
    assert regions("de") == ("DE",)


def test_nothing_private_reaches_the_store(store: Store, tmp_path: Path) -> None:
    secrets = ["jane@example.com", "4111111111111111", "hr_live_AbCdEf123456789012345"]
    (tmp_path / "x.csv").write_text(
        "text,label\n" + "".join(f"see {s} there,a\nbroken {s}\n" for s in secrets)
    )
    count = bring(store, tmp_path, {"path": "x.csv"})
    assert (count.new, count.broken, count.masked) == (3, 3, {"email": 2, "card": 2, "key": 2})
    feed(store, recipe(), [(secrets[0], "a")])
    assert store.rows.masked()["intent", "desk", "email"] == 2
    held = [row.text for batch in store.rows.pending() for row in batch]
    held += [entry.content for entry in store.quarantine.list()]
    assert len(held) == 7
    assert not [text for text in held for secret in secrets if secret in text]


def test_short_rows_are_masked_at_20_000_a_second() -> None:
    masker = Masker(language="en")
    texts = [f"where is my order {i}, it was due on {i % 28 + 1} May?" for i in range(4000)]
    best = 1e9
    for _ in range(3):
        begun = time.process_time()
        for text in texts:
            masker.mask(text)
        best = min(best, time.process_time() - begun)
    assert len(texts) / best >= 20_000
