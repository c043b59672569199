"""The owner and an agent at work in the console, by forms alone: no script runs here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from console_stand import Visitor, ask, furnished, light

from headrace.channels.keys import digest_of
from headrace.records import Release
from headrace.web.console.navigation import SCREENS
from headrace.web.console.place import Console


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Console:
    return furnished(tmp_path_factory.mktemp("furnished") / "project")


@pytest.fixture
def owner(console: Console) -> Visitor:
    visitor = Visitor(console, "olga")
    visitor.get("/")
    return visitor


def test_an_empty_project_says_what_to_do_next(tmp_path: Path) -> None:
    console = light(tmp_path / "project")
    visitor = Visitor(console, "olga")
    for screen in SCREENS:
        page = visitor.get(screen.path)
        assert page.status_code == 200
        assert 'class="empty"' in page.text or screen.name in ("circle", "guarantee"), screen.name
    assert "About 72 more checks" in visitor.get("/guarantee").text


def test_every_screen_is_told_in_the_language_asked_for(owner: Visitor) -> None:
    for screen in SCREENS:
        assert '<html lang="en"' in owner.get(screen.path).text
        chinese = owner.get(screen.path, **{"accept-language": "fr, zh-TW;q=0.8, en"}).text
        assert '<html lang="zh-Hans"' in chinese
        assert "退出" in chinese
    owner.client.cookies.set("language", "zh")
    assert "退出" in owner.get("/").text


@pytest.mark.parametrize(("path", "key"), [("/", "rows"), ("/answers", "sure"), ("/adapters", "accuracy")])
def test_a_table_is_sorted_as_the_address_asks(owner: Visitor, path: str, key: str) -> None:
    def numbers(order: str) -> list[float]:
        page = owner.get(f"{path}?sort={order}{key}").text
        assert f'aria-sort="{"descending" if order else "ascending"}"' in page
        place = [c for c in re.findall(r'sort=-?(\w+)"', page) if c].index(key)
        rows = re.findall(r"<tr>(.*?)</tr>", page.partition("<tbody>")[2], re.DOTALL)
        skipped = 1 if path == "/adapters" else 0
        cells = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL)[place + skipped] for row in rows]
        return [float(re.sub(r"<[^>]*>", " ", cell).split()[0].replace(",", "")) for cell in cells]

    assert numbers("") == sorted(numbers(""))
    assert numbers("-") == sorted(numbers("-"), reverse=True)


def test_a_row_gets_its_label(console: Console, owner: Visitor) -> None:
    row = console.project.unlabelled()[0]
    page = owner.get("/labelling?kind=rows").text
    assert row.text in page
    assert 'data-key="1"' in page
    got = owner.post("/labelling", kind="rows", id=row.id, choice="create_key", at="0")
    assert got.headers["location"].startswith("/labelling?kind=rows&at=0")
    assert row.id not in {one.id for one in console.project.unlabelled()}
    console.project.clean()
    (example,) = console.project.store.examples.get([row.id])
    assert (example.label, example.origin) == ("create_key", "source")
    assert owner.post("/labelling", kind="rows", id=row.id, choice="create_key").status_code == 409


def test_the_least_sure_answer_comes_first_and_its_correction_counts_at_once(console: Console) -> None:
    agent = Visitor(console, "alan")
    agent.get("/queue")
    page = agent.get("/labelling?kind=unsure").text
    answer = re.search(r'name="id" value="(ans_\w+)"', page)
    assert answer is not None
    found = console.project.store.answers.get(answer[1])
    unjudged = {one.answer for one in console.project.feedback()}
    assert found.confidence == min(
        one.confidence for one in console.project.answers(task="intent") if one.id not in unjudged
    )
    other = next(label for label in console.project.labels("intent") if label != found.label)
    agent.post("/labelling", kind="unsure", id=found.id, choice=other, said=found.label)
    assert console.project.predict([found.text], task="intent", channel="desk")[0].label == other


def test_a_rejected_row_is_taken_back_with_another_text(console: Console, owner: Visitor) -> None:
    (entry,) = console.project.quarantine(reason="empty")
    assert "empty" in owner.get("/data?reason=empty").text
    assert owner.post("/data/restore", id=entry.id).status_code == 422
    got = owner.post("/data/restore", id=entry.id, text="undo it all for us", label="rollback")
    assert got.headers["location"] == "/data?said=restored"
    assert console.project.quarantine(reason="empty") == []


def test_a_key_is_shown_once(console: Console, owner: Visitor) -> None:
    page = owner.post("/channels/keys", channel="desk").text
    secret = re.search(r"hr_live_\w{20,}", page)
    assert secret is not None
    key = console.project.store.keys.by_digest(digest_of(secret[0]))
    assert key is not None
    assert secret[0] not in owner.get("/channels").text
    owner.post("/channels/revoke", id=key.id)
    again = console.project.store.keys.by_digest(digest_of(secret[0]))
    assert again is not None
    assert again.revoked is not None


def test_a_public_key_is_made_for_a_page(console: Console, owner: Visitor) -> None:
    assert "hr_pub" in owner.post("/channels/keys", channel="desk", kind="public").text
    assert console.project.keys("desk")[-1].kind == "public"


def test_a_channel_is_added(console: Console, owner: Visitor) -> None:
    wanted = {"name": "partner", "task.intent": "1", "language": "zh", "quota": "500"}
    assert owner.post("/channels/add", **wanted).headers["location"] == "/channels?said=channel_added"
    assert console.project.recipe.channel("partner").daily_quota == 500
    assert owner.post("/channels/add", name="none").status_code == 422
    assert owner.post("/channels/add", **wanted).status_code == 409


def test_adapters_are_compared_released_and_rolled_back(console: Console, owner: Visitor) -> None:
    own = next(one for one in console.project.adapters() if one.channel == "desk")
    shared = next(one for one in console.project.adapters() if one.channel is None)
    page = owner.get(f"/adapters/compare?pick={shared.id}&pick={own.id}").text
    assert own.id.removeprefix("adp_")[:8] in page
    assert "Judged on the same rows." in page
    assert owner.get("/adapters/compare?pick=one").status_code == 422
    got = owner.post(f"/adapters/{own.id}/release", channel="desk")
    assert got.status_code == 303
    released = serving(console) == own.id
    assert got.headers["location"].endswith("said=released" if released else "said=refused")
    page = owner.get(f"/adapters/{own.id}").text
    assert "held-out rows" in page.partition("History")[2]
    if not released:  # the owner may still have done so by other means
        before = next(r.id for r in console.project.store.history.serving() if r.channel == "desk")
        made = Release("rel_own", "intent", "desk", own.id, console.project.clock(), {}, previous=before)
        console.project.store.history.add(made)
    assert "Roll desk back" in owner.get(f"/adapters/{own.id}").text
    back = owner.post("/adapters/rollback", task="intent", channel="desk")
    assert back.headers["location"] == f"/adapters/{shared.id}?said=rolled_back"
    assert serving(console) == shared.id


def serving(console: Console) -> str:
    return next(r.adapter for r in console.project.store.history.serving() if r.channel == "desk")


def test_an_answer_tells_why(console: Console, owner: Visitor) -> None:
    found = console.project.answers(task="intent")
    said = next(one for one in found if "key" in one.text and one.label == "create_key" and not one.because)
    page = owner.get(f"/answers/{said.id}").text
    assert '<mark class="for">key<sup>+' in page
    assert "Nearest examples that taught it" in page


def test_a_draft_answers_once_it_is_published(console: Console, owner: Visitor) -> None:
    got = owner.post("/knowledge/draft", title="Do you ship abroad?", text="Yes, to Norway.", language="en")
    document = got.headers["location"].partition("?")[0]
    state = {one.id: one.state for one in console.project.documents()}
    assert state[document.rpartition("/")[2]] == "draft"
    owner.post(f"{document}/publish")
    owner.post(f"{document}/flag", reason="and Sweden")
    assert "and Sweden" in owner.get(document).text
    owner.post(f"{document}/flag", fine="1")
    assert "and Sweden" not in owner.get(document).text
    assert console.project.documents(state="live")
    owner.post(f"{document}/remove")
    assert {one.id: one.state for one in console.project.documents()}[document.rpartition("/")[2]] == "gone"


def test_an_agent_takes_a_ticket_picks_a_passage_and_the_customer_has_it(console: Console) -> None:
    conversation = ask(console, "another key for my partner please")
    agent = Visitor(console, "alan")
    ticket = next(w.ticket for w in console.desk.queue() if w.conversation.id == conversation)
    page = agent.get(f"/queue/{ticket.id}").text
    assert "Run headrace key new CHANNEL." in page
    assert agent.post(f"/queue/{ticket.id}/take").status_code == 303
    assert "with alan" in agent.get("/queue").text
    assert agent.post(f"/queue/{ticket.id}/answer", text="").status_code == 422
    seen = next(m.id for m in console.desk.since(conversation) if m.author == "customer")
    assert f'name="seen" form="answering" value="{seen}"' in page
    console.desk.reply(console.desk.receive(conversation, "and one for me"))
    late = agent.post(f"/queue/{ticket.id}/answer", text="Here it is.", seen=seen)
    assert late.status_code == 409
    assert "and one for me" in late.text
    assert agent.post(f"/queue/{ticket.id}/close", seen=seen).status_code == 409
    agent.post(f"/queue/{ticket.id}/answer", passage="pas_create_key_en", text="")
    last = console.desk.since(conversation, None)[-1]
    assert (last.author, last.by, last.text) == ("agent", "alan", "Run headrace key new CHANNEL.")
    assert agent.post(f"/queue/{ticket.id}/answer", text="again").status_code == 409
    assert "answered or closed" in agent.get(f"/queue/{ticket.id}").text


def test_a_drawn_answer_is_checked_and_counts_for_the_guarantee(console: Console) -> None:
    ask(console, "please undo it for us")
    agent = Visitor(console, "alan")
    agent.get("/queue")
    before = console.guarantee.state("intent", "desk").checked
    message = console.desk.to_check()[0]
    assert message.text in agent.get("/labelling?kind=checks").text
    agent.post("/labelling", kind="checks", id=message.id, choice="right")
    assert console.guarantee.state("intent", "desk").checked == before + 1
    page = Visitor(console, "olga").get("/guarantee").text
    assert "more checks are needed" in page


def test_the_recipe_that_somebody_else_changed_is_followed(console: Console, owner: Visitor) -> None:
    path = console.project.folder / "headrace.yaml"
    path.write_text(path.read_text("utf-8").replace("name: small", "name: renamed"), "utf-8")
    assert "<title>The circle · renamed</title>" in owner.get("/").text
