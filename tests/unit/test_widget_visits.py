"""Whose visit is counted: behind trusted proxies alone the header is believed, and a household is one."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from headrace.errors import QuotaSpent, RecipeError, ServerFull
from headrace.recipe import parse
from headrace.web.widget.visits import Addresses, Allowed, Visits


@pytest.mark.parametrize(
    ("proxies", "peer", "said", "address"),
    [
        ([], "192.0.2.9", "203.0.113.1", "192.0.2.9"),
        (["127.0.0.1"], "127.0.0.1", "203.0.113.1", "203.0.113.1"),
        (["127.0.0.1"], "127.0.0.1", "10.0.0.1, 203.0.113.1", "203.0.113.1"),
        (["127.0.0.1", "10.0.0.0/8"], "127.0.0.1", "9.9.9.9, 203.0.113.1, 10.1.2.3", "203.0.113.1"),
        (["127.0.0.1"], "127.0.0.1", "", "127.0.0.1"),
        (["127.0.0.1"], "127.0.0.1", "203.0.113.1, unknown", "127.0.0.1"),
        (["127.0.0.1"], "::ffff:127.0.0.1", "203.0.113.1", "203.0.113.1"),
        ([], "2001:db8:1:2:3:4:5:6", "", "2001:db8:1:2::/64"),
        ([], "", "", ""),
    ],
)
def test_the_address_nearest_to_the_client(proxies: list[str], peer: str, said: str, address: str) -> None:
    headers = Headers({"x-forwarded-for": said} if said else {})
    assert Addresses(proxies).of(peer, headers) == address


def test_acts_are_counted_by_address_and_by_visitor() -> None:
    visits = Visits({"say": Allowed("5/minute", "2/minute")})
    for _ in range(2):
        visits.take("say", "a", "one")
    with pytest.raises(QuotaSpent) as spent:
        visits.take("say", "a", "one")
    assert 1 <= spent.value.retry_after <= 60
    visits.take("say", "a", "two")
    visits.take("say", "a", "two")
    with pytest.raises(QuotaSpent):
        visits.take("say", "a", "three")
    visits.take("say", "b", "one-of-b")


def test_places_are_taken_and_given_back() -> None:
    visits = Visits(each=2, together=3)
    for address in ("a", "a", "b"):
        visits.listen(address)
    with pytest.raises(QuotaSpent):
        visits.listen("a")
    with pytest.raises(ServerFull):
        visits.listen("c")
    visits.leave("a")
    visits.listen("c")


@pytest.mark.parametrize(
    "wrong",
    [
        "https://shop.example/",
        "shop.example",
        "https://Shop.example",
        "*",
        "null",
        "https://shop.example/chat",
    ],
)
def test_an_origin_that_no_browser_sends_is_a_mistake_of_the_recipe(wrong: str) -> None:
    recipe = "name: x\ntasks: {t: {}}\nchannels: {c: {tasks: [t], origins: ['%s']}}\n"
    parse(recipe % "https://shop.example:8443", where="headrace.yaml")
    with pytest.raises(RecipeError, match=r"https://shop\.example"):
        parse(recipe % wrong, where="headrace.yaml")


def test_a_proxy_is_an_address_or_a_network() -> None:
    parse("name: x\nserve: {proxies: [127.0.0.1, '10.0.0.1/8', '::1']}\n", where="headrace.yaml")
    with pytest.raises(RecipeError, match="address or a network"):
        parse("name: x\nserve: {proxies: [nginx]}\n", where="headrace.yaml")
