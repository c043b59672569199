"""A report of a turn with everything in it that a report may hold."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from headrace.evaluation.intervals import wilson
from headrace.reports.drift import AccuracyDrift, Grown, InputDrift, LabelShift, Week
from headrace.reports.turns import CameIn, Decided, Learned, RolledBack, Stage, TurnReport

NOW = datetime(2026, 3, 18, 12, tzinfo=UTC)


def sample(text: str = "plain") -> TurnReport:
    """A report whose every free text is `text`."""
    change = wilson(60, 100)
    weeks = tuple(
        Week(date(2026, 1, 5) + timedelta(weeks=w), wilson(80 - 4 * w, 100 - 5 * (w % 3))) for w in range(8)
    )
    drifts = tuple(
        AccuracyDrift("mood", channel, judges, weeks, change, alarm=channel == text)
        for channel in (text, "forum")
        for judges in ("audits", "feedback")
    )
    return TurnReport(
        "turn_0123456789",
        NOW,
        NOW + timedelta(seconds=95),
        95.0,
        came_in=(
            CameIn("mood", text, 1200, 900, {"duplicate": 31, text: 2}, {"correction": 58, "right": 7}, 4),
        ),
        learned=(
            Learned("adp_0123456789abcdef", "mood", None, "lora", 9000, 58, 61.2, 330_000),
            Learned("adp_fedcba9876543210", "mood", text, text, 800, 58, 3.1, 64_000),
        ),
        decided=(
            Decided(
                "mood",
                text,
                "released",
                f"Released: {text}",
                "adp_0123456789abcdef",
                wilson(70, 100),
                wilson(80, 100),
            ),
            Decided(
                "mood",
                "forum",
                "refused",
                "Refused: too few rows.",
                "adp_0123456789abcdef",
                wilson(7, 9),
                wilson(7, 9),
            ),
        ),
        rolled_back=(RolledBack("mood", "partner", "adp_77", NOW, text),),
        inputs=(
            InputDrift(
                "mood",
                text,
                1e-4,
                True,
                wilson(90, 400),
                400,
                500,
                (Grown(text, 0.0, 0.4), Grown("parcel", 0.01, 0.3)),
                (LabelShift(text, 0.5, 0.2, wilson(3, 10)),),
            ),
            InputDrift("mood", "forum", 0.4, False, wilson(20, 400), 400, 500),
        ),
        accuracy=drifts,
        stages=(
            Stage("feedback", 0, 0.4),
            Stage("rows", 0.4, 2.0),
            Stage("training", 2.4, 70.0),
            Stage("judging", 72.4, 15.0),
            Stage("releasing", 87.4, 1.2),
            Stage("drift", 88.6, 6.0),
        ),
    )
