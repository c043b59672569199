"""Trials and audits as rows, lines and JSON. Imports the flywheel: only verbs load it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from headrace.flywheel.trials.steps import Standing, outlook
from headrace.records import Answer, Shadow
from headrace.reports.grids import number


def row(found: Standing) -> tuple[str, ...]:
    """A trial's row of the table."""
    trial, said = found.trial, found.to_json()
    value = said.get("e_value", said.get("alarm_value"))
    needed = said.get("needed", said.get("alarm_at"))
    stage = trial.stage if trial.ended is None else f"{trial.stage}, {trial.outcome}"
    return (
        f"{trial.channel}\n{trial.task}",
        trial.id,
        stage,
        number(found.rows.both),
        number(found.audits.judged),
        f"{value:.1f} of {needed:.0f}",
        far(found),
    )


def far(found: Standing) -> str:
    """How far it is, in a few words."""
    trial = found.trial
    if trial.ended is not None:
        return str(trial.evidence.get("reason", ""))
    if trial.stage == "watch":
        return "watches"
    if found.more == 0:
        return "enough" if trial.stage == "canary" else "enough; first a canary"
    return f"about {found.more} more audits" if found.more else "nothing speaks for a gain yet"


def lines(found: Standing) -> list[str]:
    """A trial in a few sentences."""
    trial = found.trial
    said = [
        f"{trial.task}/{trial.channel}: {trial.id}, since {trial.began:%Y-%m-%d %H:%M}",
        f"Serving {trial.champion}; beside it {trial.challenger}.",
    ]
    if trial.ended is not None:
        return [*said, f"Ended {trial.ended:%Y-%m-%d %H:%M}. {trial.evidence.get('reason', '')}"]
    waiting = f"{found.rows.waiting} answers wait: headrace audit list" if found.rows.waiting else ""
    return [*said, outlook(found), *([waiting] if waiting else [])]


def to_json(found: Standing) -> dict[str, Any]:
    """A trial for scripts."""
    trial = found.trial
    return {
        "id": trial.id,
        "task": trial.task,
        "channel": trial.channel,
        "stage": trial.stage,
        "champion": trial.champion,
        "challenger": trial.challenger,
        "began": trial.began.isoformat(),
        "ended": trial.ended.isoformat() if trial.ended else None,
        "outcome": trial.outcome,
        **{name: value for name, value in found.to_json().items() if name != "trial"},
        "waiting": found.rows.waiting,
        "more_audits": found.more,
        "said": outlook(found) if trial.ended is None else str(trial.evidence.get("reason", "")),
    }


def waiting(found: Iterable[tuple[Answer, Shadow]]) -> list[dict[str, Any]]:
    """Answers that wait for a judge, who must not see which adapter said what."""
    return [
        {
            "answer": answer.id,
            "task": answer.task,
            "channel": answer.channel,
            "text": answer.text,
            "labels": sorted([answer.label, shadow.label]),
            "at": answer.at.isoformat(),
        }
        for answer, shadow in found
    ]
