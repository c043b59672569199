"""When a server lets trials take their steps."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from headrace.web.stepping import NEWS, ROWS, Stepping


def test_steps_are_taken_on_news_soon_and_else_now_and_then() -> None:
    now, seen, broken, steps = [100.0], [0, 0], dict[str, str](), list[dict[str, str]]()
    store = SimpleNamespace(
        shadows=SimpleNamespace(version=lambda: seen[0]), feedback=SimpleNamespace(version=lambda: seen[1])
    )
    project: Any = SimpleNamespace(
        store=store, prover=SimpleNamespace(step=lambda found: steps.append(dict(found)))
    )
    engine: Any = SimpleNamespace(bank=SimpleNamespace(broken=broken))
    stepping = Stepping(project, engine, clock=lambda: now[0])

    def look(after: float) -> int:
        now[0] += after
        stepping.step()
        return len(steps)

    assert look(0) == 1  # at the start
    assert look(NEWS) == 1  # nothing was said
    seen[0] = 1
    assert look(0.2) == 2
    seen[1] = 7
    assert look(0.2) == 2  # too soon
    assert look(NEWS) == 3
    broken["trl_1"] = "damaged"
    assert look(0.1) == 4  # at once, and once
    assert steps[-1] == {"trl_1": "damaged"}
    assert look(0.1) == 4
    assert look(ROWS) == 5
