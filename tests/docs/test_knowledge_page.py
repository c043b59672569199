"""The files of docs/knowledge.md are read as the page says."""

from __future__ import annotations

import re
from pathlib import Path

from knowledge_parts import pdf, write

from headrace import plugins
from headrace.project import Project

PAGE = (Path(__file__).parents[2] / "docs/knowledge.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^```\w+ (\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


def test_every_example_is_read_as_the_page_says(tmp_path: Path) -> None:
    for name, text in FILES.items():
        write(tmp_path, name, text)
    write(tmp_path, "manuals/a.pdf", pdf("Press the green knob."))
    project = Project.init(tmp_path)
    found = project.sync_knowledge()
    assert (found.added, found.rejected, dict(found.unread)) == (11, 0, {})
    everyone = {passage.title: passage for passage in project.store.documents.passages("website")}
    assert everyone["Where is my parcel?"].intent == "track_parcel"
    assert everyone["How can I pay? / Do you take invoices?"].curated
    assert "Returns › How to send something back › Refund" in everyone
    assert not {"For dealers", "What does a crate cost?"} & set(everyone)


def test_every_format_and_option_of_a_site_is_told() -> None:
    for name in plugins.names("formats"):
        assert re.search(rf"(^### .*\b{name}\b|\*\*{name}\*\*)", PAGE, re.MULTILINE)
    for option in plugins.options("formats", "site").model_fields:
        assert f"{option}: " in PAGE
