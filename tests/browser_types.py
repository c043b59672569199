"""What the fixtures of tests/browser give."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page

Opens = Callable[..., Page]
"""(language=, theme=) -> a new page in a context of its own."""
Examines = Callable[[Page], None]
"""axe finds no violation on a page, and it fits a screen of 360 px."""
