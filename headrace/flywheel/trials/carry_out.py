"""What the gate decided -> done: released at once, put on trial, or refused; each written down."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from headrace.flywheel.judging.bench import Judged
from headrace.flywheel.trials.opening import Opening
from headrace.records import Adapter
from headrace.release.gate import Decision
from headrace.release.promote import promote, refuse


def carry_out(
    opening: Opening,
    adapter: Adapter,
    decisions: Mapping[str, Decision],
    judged: Mapping[str, Judged],
    served: Collection[str],
) -> dict[str, str]:
    """Carry out one decision a channel; the sentences of those channels in which a trial decides.

    Where nothing serves yet (a channel that is not among `served`) there is nothing to try against. What is
    released at once is released in one transaction, and watched from then on.
    """
    passed = {c: {"reason": d.reason, **d.evidence} for c, d in decisions.items() if d.released}
    trying = [c for c in passed if c in served and opening.way(adapter.task, c) == "proved"]
    now = {c: {"way": "offline", **passed[c]} for c in passed if c not in trying}
    if now:
        promote(
            opening.store,
            adapter.task,
            now,
            adapter.id,
            {},
            held_out={c: judged[c].case.ids for c in now},
            also=opening.watch_in,
            clock=opening.clock,
            ids=opening.ids,
        )
    for channel in decisions.keys() - passed.keys():
        _refuse(opening, adapter, channel, decisions[channel], judged[channel])
    return {
        c: opening.begin(adapter.task, c, adapter.id, passed[c], held_out=judged[c].case.ids) for c in trying
    }


def _refuse(opening: Opening, adapter: Adapter, channel: str, decision: Decision, judged: Judged) -> None:
    gate = opening.recipe.gate.model_dump(mode="json")
    refuse(
        opening.store,
        adapter.task,
        channel,
        adapter.id,
        decision.reason,
        {**decision.evidence, "gate": gate, "rows": judged.rows},
        held_out=judged.case.ids,
        clock=opening.clock,
        ids=opening.ids,
    )
