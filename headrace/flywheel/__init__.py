"""One turn: anything new? train, judge, release, report. The only package that knows the order."""

from headrace.flywheel.judging import Judged
from headrace.flywheel.trainer import Progress
from headrace.flywheel.turn import Flywheel, PairTurn, Turn

__all__ = ["Flywheel", "Judged", "PairTurn", "Progress", "Turn"]
