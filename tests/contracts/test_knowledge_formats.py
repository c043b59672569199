"""What every format of documents holds to, whoever wrote it; a new part joins by an entry in FORMATS."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from knowledge_parts import FAQ, PAGE, pdf, recipe, serving, write, xlsx, zipped
from pydantic import ValidationError

from headrace import plugins
from headrace.data.connectors import Broken
from headrace.data.fetch import Fetcher
from headrace.errors import HeadraceError
from headrace.knowledge.formats import Read, Remembering, Same, Watched
from headrace.knowledge.formats.site import Options as SiteOptions
from headrace.knowledge.formats.site import Part as SitePart

Write = Callable[[Path], Mapping[str, Any]]
MAXKB = [
    "Section title (optional)",
    "Section content (required)",
    "Question (optional, one per line in the cell)",
]
SENTENCE = "Send it back within 30 days."


def _one(name: str, data: str | bytes) -> Write:
    def made(folder: Path) -> Mapping[str, Any]:
        write(folder, name, data)
        return {"path": name}

    return made


# Two ways in which each comes; every one holds SENTENCE.
FORMATS: Mapping[str, tuple[Write, Write]] = {
    "faq": (
        _one("faq.csv", FAQ),
        _one("faq.jsonl", json.dumps({"问题": "怎么退货？", "答案": SENTENCE}, ensure_ascii=False)),
    ),
    "markdown": (
        _one(
            "help/a.md", f"---\ntitle: Returns\nlanguage: en\n---\n# How\n\n{SENTENCE}\n\n```sh\n# no\n```\n"
        ),
        _one(
            "help/sub/b.md",
            f"Setext\n======\n\nSend it [back](https://x.example) **within**\n30 days. {SENTENCE}",
        ),
    ),
    "html": (
        _one("site/a.html", PAGE.replace("Send it <b>back</b> within 30 days.", SENTENCE)),
        _one("site/b.htm", f"<meta charset=gbk><title>退货</title><p>{SENTENCE}退货说明".encode("gbk")),
    ),
    "pdf": (_one("a.pdf", pdf(SENTENCE, "Page two.")), _one("b.pdf", pdf("Send it back\nwithin 30 days."))),
    "dify": (
        _one("annotations.csv", f"\ufeffQuestion,Answer\r\nHow?,{SENTENCE}\r\n"),
        _one("segments.csv", f"\ufeff分段内容\n{SENTENCE}\n"),
    ),
    "fastgpt": (
        _one("x-backup.csv", f"\ufeffq,a,indexes\nHow?,{SENTENCE},How?,Can I?\n'=only,,'=only\n"),
        _one("y-backup.csv", f'\ufeffq,a,indexes\n"{SENTENCE}",,{SENTENCE}'),
    ),
    "maxkb": (
        _one("base.zip", zipped({"knowledge.xlsx": xlsx({"Help": [MAXKB, ["", SENTENCE, "How?\nCan I?"]]})})),
        _one("data.xlsx", xlsx({"Help": [MAXKB, ["Returns", f"\ufeff{SENTENCE}", ""]]})),
    ),
}
EACH = pytest.mark.parametrize("name", [*FORMATS, "site"])
FILES = pytest.mark.parametrize("name", FORMATS)
Item = Read | Broken | Same


@pytest.fixture
def site_part() -> Iterator[Callable[[], SitePart]]:
    with ExitStack() as stack:
        site = stack.enter_context(serving())
        site.page("/returns", PAGE.replace("Send it <b>back</b> within 30 days.", SENTENCE))
        site.sitemap("/returns")
        options = SiteOptions(url=site.url("/sitemap.xml"), delay=0)
        fetcher = Fetcher(allow=(f"help.test:{site.port}",), resolver=lambda host, port: ["127.0.0.1"])
        yield lambda: SitePart(options, Path(), fetcher=fetcher)


def _part(name: str, folder: Path, way: int, site_part: Callable[[], SitePart]) -> Any:
    if name == "site":
        return site_part()
    given = plugins.options("formats", name).model_validate(FORMATS[name][way](folder))
    return plugins.load("formats", name)(given, folder)


def test_every_part_is_under_contract() -> None:
    assert set(plugins.names("formats")) == {*FORMATS, "site"}


@EACH
@pytest.mark.parametrize("way", [0, 1])
def test_it_reads_documents_whose_places_are_their_own(
    name: str, way: int, tmp_path: Path, site_part: Callable[[], SitePart]
) -> None:
    items: list[Item] = list(_part(name, tmp_path, way, site_part).read())
    reads = [item for item in items if isinstance(item, Read)]
    assert reads
    assert [item for item in items if isinstance(item, Broken)] == []
    assert len({read.place for read in reads}) == len(reads)
    texts = [" ".join(piece.text.split()) for read in reads for piece in read.pieces]
    assert any(SENTENCE in text for text in texts), texts
    assert all(read.title and all(piece.title for piece in read.pieces) for read in reads)
    assert not any("\ufeff" in text or text.startswith("'=") for text in texts)


@EACH
def test_reading_twice_gives_the_same(name: str, tmp_path: Path, site_part: Callable[[], SitePart]) -> None:
    first = list(_part(name, tmp_path, 0, site_part).read())
    assert list(_part(name, tmp_path, 0, site_part).read()) == first


@EACH
def test_its_options_refuse_what_they_do_not_know(name: str, tmp_path: Path) -> None:
    options = plugins.options("formats", name)
    given = {"url": "https://x.example/"} if name == "site" else FORMATS[name][0](tmp_path)
    with pytest.raises(ValidationError, match="pathh"):
        options.model_validate({**given, "pathh": "x"})
    made = recipe(docs={"format": name, "options": dict(given)})
    assert made.knowledge["docs"].format == name


@FILES
def test_a_path_without_files_is_an_error_that_says_which(name: str, tmp_path: Path) -> None:
    options = plugins.options("formats", name).model_validate({"path": "nowhere"})
    with pytest.raises(HeadraceError, match="nowhere"):
        list(plugins.load("formats", name)(options, tmp_path).read())


@FILES
def test_its_stamp_changes_with_its_files_alone(name: str, tmp_path: Path) -> None:
    given = plugins.options("formats", name).model_validate(FORMATS[name][0](tmp_path))
    part = plugins.load("formats", name)(given, tmp_path)
    assert isinstance(part, Watched)
    before = part.stamp()
    write(tmp_path, "beside.log", "x")
    assert part.stamp() == before != ""
    file = next(path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".log")
    file.write_bytes(file.read_bytes() + b"\n")
    assert part.stamp() != before


@FILES
def test_bytes_that_are_nothing_are_broken_or_an_error_and_never_a_crash(name: str, tmp_path: Path) -> None:
    given = FORMATS[name][0](tmp_path)
    file = next(path for path in tmp_path.rglob("*") if path.is_file())
    whole = file.read_bytes()
    for data in (
        b"",
        b"\x00" * 50,
        b"\xff\xfe\xff",
        whole[: len(whole) // 2],
        whole[:-30] + b"\xff\x00<&" + whole[-9:],
    ):
        file.write_bytes(data)
        options = plugins.options("formats", name).model_validate(given)
        try:
            items = list(plugins.load("formats", name)(options, tmp_path).read())
        except HeadraceError:
            continue  # The whole source cannot be used: said in words, not a crash.
        assert all(
            item.reason and item.place.startswith(file.relative_to(tmp_path).as_posix()[:4])
            for item in items
            if isinstance(item, Broken)
        )


def test_only_a_site_remembers(site_part: Callable[[], SitePart]) -> None:
    assert isinstance(site_part(), Remembering)
