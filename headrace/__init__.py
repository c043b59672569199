"""Headrace: one frozen base, a small adapter per (task, channel), and a loop that learns from what users say.

The way of a row: `Project.collect` brings it in, private details masked; `clean` makes an example of it, or
puts it into quarantine with the reason; `train` makes an adapter of the examples; `evaluate` judges it on
held-out rows; `release` lets it serve where the gate allows it; `predict`, or the server, answers with it;
`add_feedback` hears what users say; and `turn` goes round again.

    from headrace import Project

    project = Project.init("shop")
    project.collect()
    project.clean()
    project.turn()
    answer = project.predict(["Where is my parcel?"], task="intent", channel="website")[0]
    project.add_feedback(answer.id, "correction", "parcel_tracking")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrace.errors import HeadraceError as HeadraceError
    from headrace.evaluation.judgement import judge as judge
    from headrace.flywheel import PairTurn as PairTurn
    from headrace.flywheel import Turn as Turn
    from headrace.project import Project as Project
    from headrace.recipe import Recipe as Recipe
    from headrace.records import Adapter as Adapter
    from headrace.records import Answer as Answer
    from headrace.records import Channel as Channel
    from headrace.records import Example as Example
    from headrace.records import Feedback as Feedback
    from headrace.records import Release as Release
    from headrace.records import Row as Row
    from headrace.reports.status import PairStatus as PairStatus

__version__ = "0.1.0"

# Given on first use (PEP 562), so that `import headrace` costs next to nothing.
_PUBLIC = {
    "Project": "project",
    "PairStatus": "reports.status",
    "PairTurn": "flywheel",
    "Turn": "flywheel",
    "Recipe": "recipe",
    "HeadraceError": "errors",
    "judge": "evaluation.judgement",
    "Adapter": "records",
    "Answer": "records",
    "Channel": "records",
    "Example": "records",
    "Feedback": "records",
    "Release": "records",
    "Row": "records",
}

__all__ = ["__version__", *sorted(_PUBLIC)]


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'headrace' has no attribute {name!r}")
    return getattr(importlib.import_module(f"headrace.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return __all__
