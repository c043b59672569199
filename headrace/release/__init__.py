"""What serves whom: the gate that decides, promotion, the way back, and history."""

from headrace.release.detector import Detector
from headrace.release.evidence import Evidence, judged_needed
from headrace.release.floors import (
    Check,
    Shown,
    calibration_check,
    checks_of,
    floor_check,
    golden_check,
    size_check,
    work_check,
)
from headrace.release.gate import Decision, decide, decide_shared, prefer_own
from headrace.release.history import Line, Served, history, served
from headrace.release.promote import promote, refuse
from headrace.release.rollback import rollback
from headrace.release.selection import left_of, level, next_level, released
from headrace.release.sentences import explain

__all__ = [
    "Check",
    "Decision",
    "Detector",
    "Evidence",
    "Line",
    "Served",
    "Shown",
    "calibration_check",
    "checks_of",
    "decide",
    "decide_shared",
    "explain",
    "floor_check",
    "golden_check",
    "history",
    "judged_needed",
    "left_of",
    "level",
    "next_level",
    "prefer_own",
    "promote",
    "refuse",
    "released",
    "rollback",
    "served",
    "size_check",
    "work_check",
]
