"""What stands around customer service, by hand: every example of these verbs is typed as it stands."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from test_cli_journey import Run, examples, run

__all__ = ["run"]  # a fixture
pytestmark = pytest.mark.xdist_group("cli")

RECIPE = """\
name: shop
tasks:
  intent: {labels: [delivery, refund]}
channels:
  website: {tasks: [intent]}
  partner: {tasks: [intent], webhook: {url: https://partner.example/hook}}
knowledge:
  faq: {format: faq, options: {path: faq.csv}}
  manual: {format: markdown, options: {path: manual}}
support: {channels: [website, partner], intent: intent}
retention: {answers: 30}
"""
ORDER = (
    "knowledge sync",
    "knowledge list",
    "knowledge add",
    "knowledge show",
    "knowledge flag",
    "search",
    "expect add",
    "expect list",
    "expect remove",
    "expect check",
    "knowledge publish",
    "knowledge gaps",
    "knowledge remove",
    "webhook secret",
    "webhook list",
    "webhook retry",
    "retention apply",
)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> Path:
    """A project with documents, in which the user stands."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "headrace.yaml").write_text(RECIPE, encoding="utf-8")
    (tmp_path / "faq.csv").write_text("question,answer\nHow long does a refund take?,Five days.\n", "utf-8")
    (tmp_path / "manual").mkdir()
    (tmp_path / "manual" / "shipping.md").write_text(
        "# Shipping\n\nDo you ship to Norway? Yes, we ship to Norway in five days.\n", "utf-8"
    )
    (tmp_path / "gift.txt").write_text("Send it back within a month.\n", encoding="utf-8")
    assert run("init")[0] == 0
    return tmp_path


def test_every_example_works_when_it_is_typed(shop: Path, run: Run) -> None:
    told = examples()
    document = ""
    for verb in ORDER:
        for line in told[verb]:
            code, out, err = run(line.replace("doc_3f2c9a", document))
            assert code == 0 or (verb == "expect check" and "not given" in err), f"{line}\n{out}\n{err}"
            if "--json" in line:
                json.loads(out)
            if verb == "knowledge add":
                document = re.findall(r"\bdoc_\w+", out + err)[-1]
    found = json.loads(run("search 'a refund?' --channel website --json")[1])["found"]
    assert found[0]["text"] == "Five days."


@pytest.mark.parametrize(
    "line",
    [
        "knowledge gaps --channel nope",
        "webhook list nope",
        "webhook retry nope",
        "support tickets --channel nope",
        "support check --channel nope",
        "knowledge list --channel nope",
    ],
)
def test_a_channel_that_is_none_is_named_and_not_shown_as_empty(shop: Path, run: Run, line: str) -> None:
    code, _, err = run(line)
    assert (code, "there is no channel 'nope'" in err) == (2, True)
