"""What serves whom: the gate that decides, promotion, the way back, and history."""

from headrace.release.gate import Decision, decide, decide_shared, prefer_own
from headrace.release.history import Line, Served, history, served
from headrace.release.promote import promote, refuse
from headrace.release.rollback import rollback
from headrace.release.sentences import explain

__all__ = [
    "Decision",
    "Line",
    "Served",
    "decide",
    "decide_shared",
    "explain",
    "history",
    "prefer_own",
    "promote",
    "refuse",
    "rollback",
    "served",
]
