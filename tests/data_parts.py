"""A small recipe and feeders that the tests of `headrace.data` share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from headrace.data.clean import Cleaned, clean
from headrace.data.collect import Collected, SourceCount, add_rows, collect
from headrace.data.connectors import Raw
from headrace.recipe import Recipe
from headrace.records import Answer, Example, Feedback, Split, Verdict
from headrace.store import Store

Labelled = tuple[str, str | None] | tuple[str, str | None, Split | None]
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def now() -> datetime:
    """A clock that stands still."""
    return NOW


def recipe(options: Mapping[str, Any] | None = None, connector: str = "files", **clean_: Any) -> Recipe:
    """Two channels, `shop` (zh) and `desk` (en), of one task; `options` make a source `inbox` for `desk`."""
    source = {"channel": "desk", "task": "intent", "connector": connector, "options": dict(options or {})}
    return Recipe.model_validate(
        {
            "name": "test",
            "seed": 3,
            "tasks": {"intent": {"labels": clean_.pop("labels", ())}},
            "channels": {
                "shop": {"tasks": ["intent"], "language": "zh"},
                "desk": {"tasks": ["intent"], "language": "en"},
            },
            "sources": {"inbox": source} if options is not None else {},
            "clean": clean_,
        }
    )


def bring(
    store: Store, folder: Path, options: Mapping[str, Any], *, run: str = "r1", **more: Any
) -> SourceCount:
    """Collect from one source with these options."""
    made = recipe(options, **more)
    return collect(store, made, folder, None, clock=now, run=run).sources["inbox"]


def feed(
    store: Store,
    made: Recipe,
    rows: Sequence[Labelled],
    *,
    channel: str = "desk",
    run: str = "r1",
    source: str = "python",
) -> Collected:
    """Hand rows over as (text, label) or (text, label, split)."""
    raws = [Raw(row[0], row[1], row[2] if len(row) > 2 else None) for row in rows]
    return add_rows(store, made, raws, channel=channel, task="intent", source=source, clock=now, run=run)


def settle(store: Store, made: Recipe) -> Cleaned:
    """Clean what is new."""
    return clean(store, made, clock=now)


def examples(store: Store) -> list[Example]:
    """Every example of the task."""
    return store.examples.of("intent")


def splits(store: Store) -> dict[tuple[str, str], Split]:
    """Split by channel and text."""
    return {(e.channel, e.text): e.split for e in examples(store)}


def say(
    store: Store, n: int, text: str, label: str | None, *, channel: str = "desk", said: str = "wrong label"
) -> None:
    """An answer `said` to `text`, and feedback on it: a correction to `label`, "right" where that is None."""
    answer = Answer(f"ans_{n}", channel, "intent", text, said, 0.5, "rel_1", "ada_1", NOW)
    store.answers.add([answer])
    verdict: Verdict = "right" if label is None else "correction"
    store.feedback.add(Feedback(f"fb_{n}", answer.id, channel, "intent", text, verdict, label, NOW))
