"""Scores are judged: metrics, intervals, calibration, comparison. Numbers only, nothing is read."""

from headrace.evaluation.compare import Comparison, Outcomes, compare, rows_needed
from headrace.evaluation.intervals import Estimate
from headrace.evaluation.judgement import Judgement, judge

__all__ = ["Comparison", "Estimate", "Judgement", "Outcomes", "compare", "judge", "rows_needed"]
