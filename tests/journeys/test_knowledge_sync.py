"""Documents come, change and go; what cannot be read stays as it was; a private one stays private."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

import pytest
from knowledge_parts import FAQ, PAGE, pdf, recipe, serving, write
from typer.testing import CliRunner

from headrace.cli.app import app
from headrace.data.connectors import Broken
from headrace.data.fetch import Fetcher
from headrace.data.quarantine import DOCUMENTS
from headrace.errors import AlreadyRunning, Conflict, InputError, NotFound
from headrace.knowledge import sync as syncing
from headrace.knowledge.formats import Read
from headrace.knowledge.formats.site import Options, Part
from headrace.knowledge.sync import sync
from headrace.knowledge.watch import Watch
from headrace.project import Project
from headrace.records import utc_now
from headrace.store import Store
from headrace.web.logs import logger
from headrace.web.reading import reading

RECIPE = """\
name: shop
tasks: {intent: {}}
channels: {website: {tasks: [intent], language: en}, partner: {tasks: [intent], language: en}}
knowledge:
  faq: {format: faq, options: {path: faq.csv}}
  prices: {format: markdown, options: {path: prices}, channel: partner}
  manuals: {format: pdf, options: {path: "manuals/*.pdf"}}
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    write(tmp_path, "faq.csv", FAQ)
    write(tmp_path, "prices/list.md", "# Dealer prices\n\nA crate is 20.\n")
    write(tmp_path, "manuals/a.pdf", pdf("Press the green knob."))
    return Project.init(tmp_path, recipe=RECIPE)


def _texts(project: Project, channel: str | None = None) -> set[str]:
    return {one.text for one in project.store.documents.passages(channel)}


def _waiting(store: Store) -> list[tuple[str, str]]:
    return sorted((one.place, one.reason) for one in store.quarantine.list(task=DOCUMENTS, limit=None))


def test_a_file_is_edited_and_the_passage_changes(project: Project) -> None:
    first = project.sync_knowledge()
    assert (first.added, first.rejected, dict(first.unread)) == (5, 0, {})
    before = {one.title: one for one in project.store.documents.passages()}
    assert before["Where is my parcel?"].intent == "track"
    assert before["Where is my parcel?"].curated
    assert before["Where is my parcel?"].url == "https://shop.example/p"
    write(project.folder, "faq.csv", FAQ.replace("30 days", "60 days").replace("id,", "id,", 1))
    then = project.sync_knowledge(["faq"])
    assert (then.added, then.changed, then.removed, then.unchanged) == (0, 1, 0, 2)
    assert "Send it back within 60 days." in _texts(project)
    assert "Send it back within 30 days." not in _texts(project)
    after = {one.title: one for one in project.store.documents.passages()}
    assert after["Where is my parcel?"].id == before["Where is my parcel?"].id
    assert after["How do I return a gift?"].document == before["How do I return a gift?"].document


def test_what_is_private_carries_its_channel_and_is_nobody_elses(project: Project) -> None:
    project.sync_knowledge()
    private = {"A crate is 20.", "Ten percent less."}
    assert private <= _texts(project, "partner")
    assert private & _texts(project, "website") == set()
    assert {one.channel for one in project.store.documents.passages() if one.text in private} == {"partner"}


def test_a_source_that_turns_private_hides_before_it_is_read(project: Project) -> None:
    """Even where its file is gone in the same moment."""
    project.sync_knowledge()
    file = project.folder / "headrace.yaml"
    file.write_text(RECIPE.replace("{path: faq.csv}}", "{path: gone.csv}, channel: partner}"))
    again = Project(project.folder)
    found = again.sync_knowledge()
    assert "faq" in found.unread
    assert "We mail you a link." not in _texts(again, "website")
    file.write_text(RECIPE.replace("{path: faq.csv}}", "{path: faq.csv}, channel: partner}"))
    last = Project(project.folder)
    last.sync_knowledge()
    assert "We mail you a link." in _texts(last, "partner")
    assert "We mail you a link." not in _texts(last, "website")


def test_what_vanished_is_gone_and_comes_back(project: Project) -> None:
    project.sync_knowledge()
    (project.folder / "prices/list.md").rename(project.folder / "list.bak")
    write(project.folder, "prices/other.md", "# Other\n\nOther text.")
    found = project.sync_knowledge()
    assert (found.added, found.removed) == (1, 1)
    assert "A crate is 20." not in _texts(project)
    (project.folder / "list.bak").rename(project.folder / "prices/list.md")
    assert project.sync_knowledge().added == 1
    assert "A crate is 20." in _texts(project)


def test_a_source_that_cannot_be_read_keeps_its_documents(project: Project) -> None:
    project.sync_knowledge()
    before = _texts(project)
    (project.folder / "faq.csv").unlink()
    write(project.folder, "prices/list.md", b"# Dealer\n\nprices \x00 and more words\n")
    write(project.folder, "manuals/a.pdf", b"%PDF-1.4 nothing")
    found = project.sync_knowledge()
    assert (found.removed, list(found.unread)) == (0, ["faq"])
    assert _texts(project) == before
    assert [place for place, _ in _waiting(project.store)] == ["manuals/a.pdf", "prices/list.md"]


def test_a_source_taken_out_of_the_recipe_is_gone(project: Project) -> None:
    project.sync_knowledge()
    written = project.publish(project.draft("Own?", "Yes.").id)
    kept = RECIPE.replace("  faq: {format: faq, options: {path: faq.csv}}\n", "")
    (project.folder / "headrace.yaml").write_text(kept)
    again = Project(project.folder)
    assert again.sync_knowledge(["prices"]).removed == 0
    assert again.sync_knowledge().removed == 3
    assert "Yes." in _texts(again)
    assert again.document(written.id)[0].state == "live"


def test_what_is_wrong_waits_in_quarantine_until_it_is_right(project: Project) -> None:
    bad = (
        FAQ + "4,No answer?,,,en,,\n5,Where to?,There.,,en,javascript:alert(1),\n6,Whose?,Mine.,,en,,nobody\n"
    )
    write(project.folder, "faq.csv", bad + "1,Again?,Twice.,,en,,\n")
    found = project.sync_knowledge()
    assert found.rejected == 4
    reasons = [
        ("faq.csv#1 (again)", "same place twice"),
        ("faq.csv#5", "bad address"),
        ("faq.csv#6", "unknown channel"),
        ("faq.csv:5", "no answer"),
    ]
    assert _waiting(project.store) == reasons
    assert {"There.", "Mine.", "Twice."} & _texts(project) == set()
    project.sync_knowledge()
    assert _waiting(project.store) == reasons
    entry = project.quarantine(task=DOCUMENTS)[0]
    with pytest.raises(InputError, match="knowledge sync"):
        project.restore_row(entry.id, text="x", label="y")
    write(project.folder, "faq.csv", FAQ)
    project.sync_knowledge()
    assert _waiting(project.store) == []
    write(project.folder, "faq.csv", bad)
    project.sync_knowledge()
    assert len(_waiting(project.store)) == 3


def test_keys_are_masked_and_the_shops_own_address_stays(project: Project) -> None:
    key = "hr_live_" + "a1B2c3D4" * 4
    text = f"# Call {key}\n\nWrite to shop@example.com or call +1 650 253 0000. The key is {key}."
    write(project.folder, "prices/list.md", text)
    project.sync_knowledge()
    shown = json.dumps([(p.title, p.text) for p in project.store.documents.passages()])
    assert key not in shown
    assert "shop@example.com" in shown
    assert "+1 650 253 0000" in shown


def test_killed_anywhere_the_next_run_goes_on(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syncing, "BATCH", 1)
    left = [2]

    def stop(stage: str, done: int, total: int) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt

    project.progress = stop
    with pytest.raises(KeyboardInterrupt):
        project.sync_knowledge()
    assert len(project.documents()) == 2
    project.progress = None
    found = project.sync_knowledge()
    assert (found.added, found.unchanged, found.removed) == (3, 2, 0)


def test_two_do_not_read_at_once(project: Project, tmp_path: Path) -> None:
    def again(stage: str, done: int, total: int) -> None:
        with pytest.raises(AlreadyRunning):
            sync(project.store, project.recipe, tmp_path, clock=utc_now)
        heard.append(stage)

    heard: list[str] = []
    project.progress = again
    project.sync_knowledge()
    assert heard
    with pytest.raises(NotFound, match="faq"):
        project.sync_knowledge(["fak"])


def test_the_watch_names_what_changed_and_reads_nothing(project: Project) -> None:
    watch = Watch(project.folder, project.recipe, utc_now)
    assert watch.changed() == ("faq", "prices", "manuals")
    assert watch.changed() == ()
    write(project.folder, "prices/new.md", "# New")
    assert watch.changed() == ("prices",)
    (project.folder / "manuals/a.pdf").unlink()
    assert watch.changed() == ("manuals",)
    assert watch.changed() == ()


def test_an_answer_is_written_published_flagged_and_taken_away(project: Project) -> None:
    draft = project.draft("  Do you ship\nto Norway? ", "Yes, in 5 days.", "website", "en", "shipping")
    assert (draft.state, draft.title, _texts(project)) == ("draft", "Do you ship to Norway?", set())
    again = project.draft("Do you ship to Norway?", "Yes, in 6 days.", "website", "en", "shipping")
    assert again.id == draft.id
    project.publish(draft.id)
    (passage,) = project.store.documents.passages("website")
    assert (passage.text, passage.curated, passage.intent) == ("Yes, in 6 days.", True, "shipping")
    assert project.store.documents.passages("partner") == []
    with pytest.raises(Conflict):
        project.publish(draft.id)
    with pytest.raises(Conflict):
        project.draft(draft.title, "No.", "website")
    assert project.flag_document(draft.id, "call me on +1 650 253 0000").flag == "call me on <phone>"
    assert [one.id for one in project.documents(flagged=True)] == [draft.id]
    assert project.flag_document(draft.id, None).flag is None
    assert project.remove_document(draft.id).state == "gone"
    assert _texts(project) == set()
    project.sync_knowledge()
    with pytest.raises(Conflict, match="faq"):
        project.remove_document(project.documents(source="faq")[0].id)
    with pytest.raises(InputError, match="text"):
        project.draft("Title", "  ")


def test_a_flag_goes_with_the_text_that_it_was_for(project: Project) -> None:
    project.sync_knowledge()
    (document,) = project.documents(source="prices")
    project.flag_document(document.id, "last year's")
    project.sync_knowledge()
    assert project.document(document.id)[0].flag == "last year's"
    write(project.folder, "prices/list.md", "# Dealer prices\n\nA crate is 21.\n")
    project.sync_knowledge()
    assert project.document(document.id)[0].flag is None


def test_a_site_is_read_politely_and_only_what_changed(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving() as site:
        allowed = {"allow": [f"help.test:{site.port}"], "delay": 0}
        made = recipe(help={"format": "site", "options": {"url": site.url("/"), **allowed}})
        fetcher = Fetcher(allow=(f"help.test:{site.port}",), resolver=lambda host, port: ["127.0.0.1"])

        def part(source: Any, folder: Path) -> Part:
            return Part(Options.model_validate(source.options), folder, fetcher=fetcher)

        monkeypatch.setattr(syncing, "part_of", part)
        site.page("/robots.txt", f"User-agent: *\nDisallow: /admin\nSitemap: {site.url('/sitemap.xml.gz')}\n")
        site.page("/a", PAGE, ETag='"1"')
        site.page("/b", PAGE.replace("5 days", "9 days"))
        site.page("/c", "", "application/pdf")
        site.page("/admin", PAGE)
        site.sitemap("/a", "/b", "/c", "/admin", "http://other.test/x", packed=True)
        first = sync(store, made, tmp_path, clock=utc_now)
        assert (first.added, first.rejected, dict(first.unread)) == (2, 3, {})
        assert sorted(reason for _, reason in _waiting(store)) == ["another site", "not HTML", "unreachable"]
        asked = [path for path, _ in site.asked]
        assert asked == ["/robots.txt", "/sitemap.xml.gz", "/a", "/b", "/c"]

        site.pages["/a"] = lambda headers: (
            (304, {}, b"") if headers.get("If-None-Match") == '"1"' else (404, {}, b"")
        )
        site.pages["/b"] = (503, {}, b"")
        second = sync(store, made, tmp_path, clock=utc_now)
        assert (second.added, second.changed, second.removed, second.unchanged) == (0, 0, 0, 2)

        site.pages["/b"] = (404, {}, b"")
        assert sync(store, made, tmp_path, clock=utc_now).removed == 1
        site.pages["/sitemap.xml.gz"] = (500, {}, b"")
        last = sync(store, made, tmp_path, clock=utc_now)
        assert (last.removed, list(last.unread)) == (0, ["help"])
        assert len(store.documents.list(state="live")) == 1


def test_a_page_that_leads_to_another_host_is_rejected(tmp_path: Path) -> None:
    with serving() as site, serving() as other:
        hosts = (f"help.test:{site.port}", f"other.test:{other.port}")
        fetcher = Fetcher(allow=hosts, resolver=lambda host, port: ["127.0.0.1"])
        other.page("/theirs", PAGE)
        site.pages["/away"] = (302, {"Location": f"http://other.test:{other.port}/theirs"}, b"")
        site.pages["/moved"] = (302, {"Location": "/a"}, b"")
        site.page("/a", PAGE)
        site.sitemap("/away", "/moved")
        options = Options(url=site.url("/sitemap.xml"), delay=0)
        away, moved = Part(options, tmp_path, fetcher=fetcher).read()
    assert isinstance(away, Broken)
    assert (away.reason, away.detail) == (
        "another site",
        f"it leads to http://other.test:{other.port}/theirs",
    )
    assert isinstance(moved, Read)
    assert moved.url == site.url("/a")


def test_the_command_line_reads_shows_and_answers(project: Project) -> None:
    def run(*words: str, code: int = 0) -> str:
        found = CliRunner().invoke(app, ["--project", str(project.folder), "knowledge", *words])
        assert found.exit_code == code, found.output
        return found.output

    assert "5 added" in run("sync")
    assert json.loads(run("sync", "--json"))["unchanged"] == 5
    (row,) = json.loads(run("list", "--source", "prices", "--json"))
    assert "A crate is 20." in run("show", row["id"])
    made = json.loads(run("add", "Own?", "Yes.", "--json"))
    assert made["state"] == "draft"
    run("publish", made["id"])
    run("flag", made["id"], "too short")
    assert made["id"] in run("list", "--flagged")
    run("flag", made["id"], "--clear")
    run("remove", made["id"])
    assert json.loads(run("gaps", "--json")) == []


def test_beside_a_server_a_file_that_changes_is_read_again(project: Project) -> None:
    def told(wanted: set[str]) -> bool:
        end = time.monotonic() + 10
        while time.monotonic() < end and not wanted <= _texts(project):
            time.sleep(0.02)
        return wanted <= _texts(project)

    with reading(project, logger(io.StringIO()), seconds=0.02):
        assert told({"A crate is 20."})
        write(project.folder, "prices/list.md", "# Dealer prices\n\nA crate is 21.\n")
        assert told({"A crate is 21."})
        (project.folder / "manuals/a.pdf").unlink()
        project.recipe = recipe(other={"format": "markdown", "options": {"path": "other"}})
        write(project.folder, "other/a.md", "# A\n\nAnother.")
        assert told({"Another."})
