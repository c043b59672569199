"""One message a turn to those who want it; what cannot be sent fails nothing, and no address is ever logged."""

from __future__ import annotations

import logging
import sys
import threading
from dataclasses import replace

import pytest
from stub_apprise import StubApprise
from trial_stand import QUICK, TrialStand, texts
from turn_sample import sample

from headrace.errors import InputError, MissingExtra, RecipeError
from headrace.recipe import Recipe, parse
from headrace.reports.alerts import LONGEST, News, news, refuse_unusable, service, tell
from headrace.reports.turns import rolled_back
from headrace.store import Store
from headrace.store.windows import Windows

SECRET = "s3cr3t-token"
MAIL = f"mailto://user:{SECRET}@example.org"
ALL = ("release", "refusal", "rollback", "failure", "drift")


@pytest.fixture
def apprise(monkeypatch: pytest.MonkeyPatch) -> StubApprise:
    stub = StubApprise()
    monkeypatch.setitem(sys.modules, "apprise", stub)
    return stub


def recipe(*to: str, on: tuple[str, ...] = ALL) -> Recipe:
    return Recipe.model_validate({"name": "shop", "alerts": {"to": to, "on": on}})


def test_a_turn_is_one_message_of_what_is_wanted_and_without_what_users_wrote(apprise: StubApprise) -> None:
    tell(recipe(MAIL, "json://host"), news(sample("website")))
    assert [address for address, _, _ in apprise.sent] == [MAIL, "json://host"]
    _, title, body = apprise.sent[0]
    assert title == "Headrace shop: rollback, release, refusal, drift"
    assert "mood/forum: Refused: too few rows." in body
    assert "what is asked has changed" in body
    assert "parcel" not in body
    apprise.sent.clear()
    tell(recipe(MAIL, on=("failure", "refusal")), news(sample("website")))
    assert apprise.sent == [(MAIL, "Headrace shop: refusal", "mood/forum: Refused: too few rows.")]


def test_nothing_is_sent_where_nobody_wants_it_and_an_old_drift_is_not_told_again(
    apprise: StubApprise,
) -> None:
    tell(recipe(), [News("failure", "x")])
    tell(recipe(MAIL, on=("release",)), [News("failure", "x")])
    assert apprise.sent == []
    many = [News("failure", f"line {i}") for i in range(LONGEST + 5)]
    tell(recipe(MAIL), many)
    assert apprise.sent[0][2].endswith("And 5 more: headrace status")
    report = sample("website")
    told = replace(report, inputs=tuple(replace(one, new=False) for one in report.inputs))
    assert [[one.kind for one in news(of)].count("drift") for of in (report, told)] == [3, 2]


def test_a_release_that_the_watch_takes_back_is_told_at_once_and_once(
    apprise: StubApprise, sqlite_store: Store
) -> None:
    stand = TrialStand(sqlite_store, QUICK.replace("watch: 0.5", "watch: 1.0"))
    stand.prover.recipe = stand.prover.recipe.model_copy(update={"alerts": recipe(MAIL).alerts})
    stand.release(stand.adapter("old"))
    stand.release(stand.adapter("new"))
    before = Windows(sqlite_store.database).marks()
    wrong = texts("new is wrong", 60)
    stand.says |= {("new", text): "b" for text in wrong}
    stand.life(wrong)
    assert stand.serving() == "old"
    for thread in threading.enumerate():
        if thread.name == "headrace-alert":
            thread.join()
    ((address, title, body),) = apprise.sent
    assert (address, title) == (MAIL, "Headrace p: rollback")
    assert body.startswith("intent/shop: Taken back: it became worse than the adapter before it;")
    back = rolled_back(Windows(sqlite_store.database).releases(before))
    assert [one.watched for one in back] == [True]
    report = replace(sample(), rolled_back=(*sample().rolled_back, *back))
    assert [one.line for one in news(report) if one.kind == "rollback"] == [sample().rolled_back[0].sentence]


@pytest.mark.parametrize("address", ["deaf", "broken", "nosuch"])
def test_an_alert_that_cannot_be_sent_is_logged_without_its_address(
    apprise: StubApprise, caplog: pytest.LogCaptureFixture, address: str
) -> None:
    with caplog.at_level(logging.DEBUG):
        tell(recipe(f"{address}://user:{SECRET}@host", MAIL), [News("failure", "the turn failed")])
    assert "sent" in caplog.text
    assert SECRET not in caplog.text
    assert [one for one, _, _ in apprise.sent] == [MAIL], "the others are still told"
    logging.getLogger("apprise").error("heard again")
    assert "heard again" in caplog.text


def test_without_the_extra_a_turn_goes_on_and_a_server_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    tell(recipe(MAIL), [News("failure", "x")])
    assert "headrace[alerts]" in caplog.text
    with pytest.raises(MissingExtra, match=r'pip install "headrace\[alerts\]"'):
        refuse_unusable(recipe(MAIL))
    refuse_unusable(recipe())


def test_an_address_that_nobody_knows_is_named_by_its_number(apprise: StubApprise) -> None:
    refuse_unusable(recipe(MAIL))
    with pytest.raises(InputError) as refused:
        refuse_unusable(recipe(MAIL, f"nosuch://{SECRET}"))
    assert "address 2 (nosuch)" in str(refused.value)
    assert SECRET not in str(refused.value)
    assert service(SECRET) == service(f"{SECRET}://x") == "unknown service"
    assert apprise.sent == []


def test_a_mistake_in_an_address_does_not_repeat_it() -> None:
    with pytest.raises(RecipeError) as refused:
        parse(f"name: shop\nalerts: {{to: '{MAIL}'}}\n")
    assert "line 2: alerts.to" in str(refused.value)
    assert SECRET not in str(refused.value)
