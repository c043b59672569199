"""What the console says and how it looks, without a browser: words in both languages, contrast, a strict page."""

from __future__ import annotations

import re
from itertools import pairwise, product
from pathlib import Path

import pytest

import headrace.web.console
from headrace.web.console import words

ROOT = Path(headrace.web.console.__file__).parent
TEMPLATES = sorted((ROOT / "templates").glob("*.html"))
CSS = (ROOT / "static" / "console.css").read_text("utf-8")
SCRIPTS = sorted((ROOT / "static").glob("*.js"))
SOURCE = "".join(path.read_text("utf-8") for path in (*TEMPLATES, *ROOT.rglob("*.py")))
SHADES = {
    name: (light, dark)
    for name, light, dark in re.findall(r"--([a-z-]+): light-dark\((#\w{6}), (#\w{6})\);", CSS)
}
SOFT = ("accent-soft", "good-soft", "warn-soft", "bad-soft")
TEXT = [
    *product(("ink", "soft", "accent", "good", "warn", "bad"), ("ground", "paper", "sunk")),
    *((name.removesuffix("-soft"), name) for name in SOFT),
    *(("ink", name) for name in SOFT),
    *(("soft", name) for name in ("accent-soft", "warn-soft")),
    ("on-accent", "accent"),
]


@pytest.mark.parametrize("key", words.catalogue())
def test_a_word_is_there_in_both_languages_and_used(key: str) -> None:
    said = words.catalogue()[key]
    assert set(said) == set(words.LANGUAGES)
    english, chinese = (set(re.findall(r"\{(\w+)\}", said[language])) for language in ("en", "zh"))
    assert english == chinese
    assert all(said.values())
    kind = key.partition(".")[0]
    spelt = re.search(rf"""["']{re.escape(key)}["']""", SOURCE)
    composed = re.search(rf"""["']{re.escape(kind)}(\.\w+)?\.["'] ~|named\("{kind}"|f"{kind}\.\{{""", SOURCE)
    assert spelt or composed or (kind == "said" and f'"{key[5:]}"' in SOURCE), "nobody says it"


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_template_has_no_words_of_its_own(path: Path) -> None:
    text = path.read_text("utf-8")
    for key in re.findall(r"""\bt\(["']([\w.]+)["'][,)]""", text):
        assert key in words.catalogue(), key
    plain = re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}|<code>.*?</code>", "", text, flags=re.DOTALL)
    for name, value in re.findall(r'\b(aria-label|title|placeholder|alt)="([^"]*)"', plain):
        assert not re.search(r"\w", value), f"{name}={value}"
    between = re.sub(r"<!?[a-zA-Z/][^>]*>", "", plain)
    assert not re.search(r"[^\W\d_]{2}", between.replace("KB", "")), between.strip()


@pytest.mark.parametrize("path", [*TEMPLATES, *SCRIPTS], ids=lambda path: path.name)
def test_nothing_asks_for_more_than_the_policy_allows(path: Path) -> None:
    text = path.read_text("utf-8")
    assert not re.search(
        r"""\s(style|on[a-z]+|hx-[a-z-]+)=["{]|javascript:|<script(?! type="module" src)|eval\(""", text
    )
    assert not re.search(r"""(src|href|action|from|url\()\s*[=(]?\s*["']?(https?:)?//""", text)
    assert "|safe" not in text.replace(" ", "")


@pytest.mark.parametrize(("ink", "ground"), TEXT)
@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_can_be_read(ink: str, ground: str, theme: int) -> None:
    """WCAG 2.2, 1.4.3: at least 4.5."""
    assert contrast(SHADES[ink][theme], SHADES[ground][theme]) >= 4.5


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_the_edge_of_a_field_can_be_seen(theme: int) -> None:
    """WCAG 2.2, 1.4.11: at least 3."""
    assert all(contrast(SHADES["edge"][theme], SHADES[on][theme]) >= 3 for on in ("paper", "ground"))


def test_colours_are_variables_and_sizes_come_from_the_scales() -> None:
    root, rest = re.split(r"(?<=\n)\}\n", CSS, maxsplit=1)
    assert not re.search(r"#[0-9a-f]{3,8}\b|rgba?\(|hsla?\(", rest)
    sizes = re.findall(r"font-size: ([^;]+);", rest)
    assert set(sizes) <= {f"var(--t{n})" for n in range(1, 6)} | {"0.92em"}
    for scale in "ts":
        steps = [float(size) for size in re.findall(rf"--{scale}\d: ([\d.]+)rem", root)]
        assert all(a < b for a, b in pairwise(steps))
    for spaced in re.findall(r"\b(?:margin|padding|gap): ([^;]+);", rest):
        assert not re.search(r"\d(px|rem)\b", spaced.replace("2px", "")), spaced


def contrast(one: str, other: str) -> float:
    """The ratio of WCAG 2.2 of two colours."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
