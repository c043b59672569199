"""One turn: anything new? train, judge, release, report. The only package that knows the order."""

from headrace.data.progress import Progress
from headrace.flywheel.judging.bench import Judged
from headrace.flywheel.turn import Flywheel, PairTurn, Turn

__all__ = ["Flywheel", "Judged", "PairTurn", "Progress", "Turn"]
