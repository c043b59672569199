"""What a trial promises: shadow, canary, win, watch, alarm; and every way in which it ends otherwise."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from trial_stand import QUICK, RECIPE, TrialStand, texts

from headrace.cli import app
from headrace.errors import Conflict, NotFound
from headrace.flywheel.trials.steps import USUAL, next_step
from headrace.records import Audit, Release
from headrace.release.evidence import judged_needed
from headrace.release.rollback import rollback
from headrace.store import Store


def begun(store: Store, release: str | None = None) -> TrialStand:
    """A stand in which `old` serves and `new` is on trial."""
    stand = TrialStand(store) if release is None else TrialStand(store, release)
    stand.release(stand.adapter("old"))
    stand.prover.begin("intent", "shop", stand.adapter("new"), {"verdict": "risen"})
    return stand


def worse(stand: TrialStand, adapter: str, found: list[str]) -> list[str]:
    """Texts on which `adapter` alone is wrong, as "a" is right."""
    stand.says |= {(adapter, text): "b" for text in found}
    return found


def outcomes(stand: TrialStand) -> list[tuple[str, str | None]]:
    return [(trial.stage, trial.outcome) for trial in stand.store.trials.list("intent", "shop")]


def test_a_better_challenger_walks_from_shadow_to_watch_and_back_when_it_turns_bad(store: Store) -> None:
    stand = begun(store)
    (shadow,) = stand.open()
    alike, differing = texts("alike", 40), worse(stand, "old", texts("old is wrong", 60))
    assert {one.adapter for one in stand.ask_all(alike)} == {"old"}
    first, second = stand.life(differing[:2])
    assert first.startswith("Shadow: of 41 rows the two differ on 1;")
    assert second.startswith("Canary: 50 % of users get the challenger's answers;")
    assert {one.adapter for one in stand.ask_all(texts("users", 40))} == {"old", "new"}
    stand.life(differing[2:])
    assert stand.serving() == "new"
    release = store.history.releases("intent", "shop")[0]
    figures: Mapping[str, Any] = release.evidence
    assert figures["way"] == "proved"
    assert figures["e_value"] >= figures["needed"] == 1 / float(str(shadow.settings["level"]))
    assert figures["wins"] > figures["losses"] == 0
    assert figures["trial"] == shadow.id
    assert figures["gate"] == {"verdict": "risen"}
    (watch,) = stand.open()
    assert (watch.stage, watch.champion, watch.challenger) == ("watch", "new", "old")
    stand.life(texts("alike again", 30) + worse(stand, "new", texts("new is wrong", 40)))
    assert stand.serving() == "old"
    back = store.history.releases("intent", "shop")[0]
    assert (back.kind, back.evidence["way"], back.evidence["trial"]) == ("rollback", "watch", watch.id)
    assert outcomes(stand) == [("canary", "won"), ("watch", "alarm")]
    assert "alarm" in [event.kind for event in store.history.events("intent", "shop")]
    assert stand.open() == []


def test_a_challenger_that_audits_show_worse_is_stopped_and_not_brought_again(sqlite_store: Store) -> None:
    stand = begun(sqlite_store)
    stand.life(texts("alike", 50) + worse(stand, "new", texts("new is wrong", 20)))
    assert stand.serving() == "old"
    assert outcomes(stand) == [("shadow", "harm")]
    assert "audits say" in stand.prover.tried("intent", "shop", "new")
    assert stand.prover.tried("intent", "forum", "new") == ""


def test_an_undecided_trial_ends_by_its_patience(sqlite_store: Store) -> None:
    stand = begun(sqlite_store)
    stand.ask_all(texts("alike", 399))
    assert stand.prover.step() == []
    (differs,) = stand.ask_all(worse(stand, "old", ["old is wrong"]))
    assert stand.prover.step() == []  # a drawn row waits for its audit
    (said,) = stand.prover.audit(differs.id, "a", "owner")
    assert said.startswith("Undecided after 400 rows")
    assert outcomes(stand) == [("shadow", "undecided")]
    stand.prover.begin("intent", "shop", "new", {})
    stand.ask_all([*texts("alike", 799), "old is wrong"])
    (said,) = stand.prover.step()  # nobody audits
    assert said.startswith("Undecided after 800 rows")


def test_ten_thousand_lies_release_nothing(sqlite_store: Store) -> None:
    stand = begun(sqlite_store, f"{QUICK}, patience: 20000".replace("patience: 400, ", ""))
    lies = stand.ask_all(worse(stand, "old", texts("lie", 10_000)))
    for number, lie in enumerate(lies[:1000]):
        stand.feedback([lie], "correction", "a", person=f"liar {number}")
    stand.feedback(lies[1000:], "correction", "a")
    assert stand.prover.step() == []
    (open_still,) = stand.open()
    assert open_still.stage == "shadow"
    assert stand.prover.standing(open_still).users.wins == 1001  # who names nobody is one voice
    assert stand.serving() == "old"


def test_users_stop_a_challenger_that_they_find_worse_and_one_person_counts_once(sqlite_store: Store) -> None:
    stand = begun(sqlite_store)
    answers = stand.ask_all(worse(stand, "new", texts("new is wrong", 40)))
    stand.feedback(answers[:10], "right", person="one")
    stand.feedback(answers[10:20], "right")
    assert stand.prover.step() == []
    for number, answer in enumerate(answers[20:]):
        stand.feedback([answer], "right", person=f"person {number}")
    (said,) = stand.prover.step()
    assert said.startswith("Stopped: users say")
    assert outcomes(stand) == [("shadow", "harm")]


def test_a_rollback_or_another_release_ends_what_is_open(sqlite_store: Store) -> None:
    stand = TrialStand(sqlite_store)
    stand.release(stand.adapter("older"))
    stand.release(stand.adapter("old"))
    stand.prover.begin("intent", "shop", stand.adapter("new"), {})
    assert [trial.stage for trial in stand.open()] == ["watch", "shadow"]
    also = stand.prover.over_in
    rollback(sqlite_store, "intent", "shop", also=also, clock=stand.clock, ids=stand.ids)
    assert stand.serving() == "older"
    assert stand.open() == []
    stand.release("new")
    assert [(trial.stage, trial.challenger) for trial in stand.open()] == [("watch", "older")]
    # Written by somebody who knows of no trials.
    sqlite_store.history.add(Release(stand.ids("rel"), "intent", "shop", "old", stand.clock(), {}))
    assert stand.prover.step() == ["Over: another adapter serves by now."]


def test_a_newer_challenger_waits_and_each_trial_spends_of_alpha(sqlite_store: Store) -> None:
    stand = begun(sqlite_store)
    said = stand.prover.begin("intent", "shop", stand.adapter("newer"), {})
    assert said == "It waits: new is on trial here until that ends."
    (first,) = stand.open()
    stand.prover.stop(first.id, "to see")
    with pytest.raises(Conflict, match="ended already: stopped"):
        stand.prover.stop(first.id, "again")
    stand.prover.begin("intent", "shop", "newer", {})
    (second,) = stand.open()
    assert (first.number, second.number) == (1, 2)
    levels = [float(str(trial.settings["level"])) for trial in (first, second)]
    assert levels[1] < levels[0]
    assert sum(levels) < 0.05
    assert first.salt != second.salt


def test_only_drawn_answers_that_differ_can_be_audited_and_once(sqlite_store: Store) -> None:
    stand = begun(sqlite_store)
    same, (text,) = stand.ask("alike"), worse(stand, "new", ["differs"])
    with pytest.raises(Conflict, match="not drawn"):
        stand.prover.audit(same.id, "a", "owner")
    with pytest.raises(NotFound):
        stand.prover.audit("ans_none", "a", "owner")
    differs = stand.ask(text)
    assert [answer.id for answer, _ in sqlite_store.shadows.waiting()] == [differs.id]
    (said,) = stand.prover.audit(differs.id, "a", "owner")
    assert "the challenger alone was right on 0, the champion on 1" in said
    assert sqlite_store.shadows.waiting() == []
    with pytest.raises(Conflict, match="audit already"):
        stand.prover.audit(differs.id, "b", "owner")


def test_a_question_counts_once_however_often_it_is_asked(sqlite_store: Store) -> None:
    stand = begun(sqlite_store)
    worse(stand, "old", ["where is it", "Where  is it", "other"])
    stand.life(["where is it"] * 30)
    said = stand.life(["Where  is it"])
    assert said[0] == "This question was judged in this trial before: its first audit counts."
    (found,) = stand.prover.standings()
    assert (found.rows.differ, found.audits.judged, found.audits.wins) == (31, 1, 1)
    assert len(sqlite_store.shadows.judged(found.trial.id)) == 31, "kept all the same"
    stand.life(["other"])
    assert stand.prover.standings()[0].audits.wins == 2


def test_the_watch_takes_a_question_once_too(sqlite_store: Store) -> None:
    stand = TrialStand(sqlite_store, QUICK.replace("watch: 0.5", "watch: 1.0"))
    stand.release(stand.adapter("old"))
    stand.release(stand.adapter("new"))
    stand.life(worse(stand, "new", ["the same"]) * 100)
    assert stand.serving() == "new"
    stand.life(worse(stand, "new", texts("new is wrong", 40)))
    assert stand.serving() == "old"


def test_an_audit_after_the_end_of_its_trial_is_kept_and_counts_for_nothing_in_it(
    sqlite_store: Store,
) -> None:
    stand = begun(sqlite_store)
    first, late = stand.ask_all(worse(stand, "new", ["differs", "differs, too"]))
    stand.prover.audit(first.id, "a", "owner")
    (trial,) = stand.open()
    stand.prover.stop(trial.id, "to see")
    (said,) = stand.prover.audit(late.id, "a", "owner")
    assert said.startswith("Kept; the trial that drew this answer has ended")
    assert len(sqlite_store.shadows.judged(trial.id)) == 2
    ended = sqlite_store.trials.get(trial.id)
    assert stand.prover.standing(ended).audits.losses == 1


def test_a_damaged_challenger_is_stopped_and_the_champion_goes_on(sqlite_store: Store) -> None:
    stand = begun(sqlite_store)
    (trial,) = stand.open()
    (said,) = stand.prover.step({trial.id: "head.safetensors is damaged."})
    assert said == "Stopped: the challenger cannot answer. head.safetensors is damaged."
    assert outcomes(stand) == [("shadow", "broken")]
    assert stand.serving() == "old"


def test_the_way_is_the_recipes_and_auto_counts_the_audits_of_the_pair(sqlite_store: Store) -> None:
    assert TrialStand(sqlite_store, "way: offline").prover.way("intent", "shop") == "offline"
    stand = TrialStand(sqlite_store, "way: auto, audits: 1.0, watch: 1.0, false_alarm: 100000")
    stand.release(stand.adapter("older"))
    stand.release(stand.adapter("old"))
    assert stand.prover.way("intent", "shop") == "offline"
    # Neither is better: as many rows won as lost.
    needed = judged_needed(1.0, USUAL, 0.05 / 2 / 21)
    assert needed is not None
    both = worse(stand, "old", texts("x", needed)) + worse(stand, "older", texts("y", needed))
    answers = stand.ask_all(both)[: needed - 1]
    with sqlite_store.transaction() as connection:
        for answer in answers:
            assert sqlite_store.shadows.audit_in(connection, Audit(answer.id, "a", "owner", stand.clock()))
    assert stand.prover.way("intent", "shop") == "offline"
    stand.life(worse(stand, "old", ["one more"]))
    assert stand.prover.way("intent", "shop") == "proved"
    assert stand.prover.way("intent", "forum") == "offline"
    stand.release("old", "forum")
    stand.prover.begin("intent", "forum", stand.adapter("new"), {})
    assert stand.prover.way("intent", "forum") == "proved"  # what is on trial is not overtaken


def test_without_a_champion_there_is_no_trial_and_without_a_share_no_watch(sqlite_store: Store) -> None:
    stand = TrialStand(sqlite_store, "way: proved, watch: 0")
    with pytest.raises(Conflict, match="nothing serves"):
        stand.prover.begin("intent", "shop", stand.adapter("new"), {})
    stand.release("new")
    stand.release(stand.adapter("newer"))
    assert stand.open() == []


def test_two_processes_that_take_the_same_step_take_it_once(store: Store) -> None:
    stand = begun(store, "way: proved, audits: 1.0, canary: 1.0, watch: 0.5, patience: 30")
    answers = stand.ask_all(worse(stand, "old", texts("old is wrong", 40)))
    with store.transaction() as connection:
        for answer in answers:
            store.shadows.audit_in(connection, Audit(answer.id, "a", "owner", stand.clock()))
    assert stand.prover.step()[0].startswith("Canary: 100 % of users")
    assert stand.prover.step() == []  # past its patience and proved, but no canary has answered yet
    stand.ask("canary")
    provers = [stand.prover, TrialStand(store).prover]
    found = [prover.standings()[0] for prover in provers]
    steps = [next_step(one, released=True) for one in found]
    assert [step.outcome for step in steps] == ["won", "won"]
    said = [prover._take(one, step) for prover, one, step in zip(provers, found, steps, strict=True)]
    assert [len(lines) for lines in said] == [1, 0]
    assert [release.adapter for release in store.history.releases("intent", "shop")] == ["new", "old"]
    assert [trial.stage for trial in stand.open()] == ["watch"]


def test_the_command_line_tells_how_trials_stand_and_takes_audits(
    sqlite_store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stand = begun(sqlite_store)
    recipe = RECIPE.format(release=QUICK).replace("{intent: {}}", "{intent: {labels: [a, b, c]}}")
    (tmp_path / "headrace.yaml").write_text(recipe)
    monkeypatch.chdir(tmp_path)
    differs = stand.ask_all([*texts("alike", 5), *worse(stand, "old", ["old is wrong"])])[-1]

    def run(*words: str) -> str:
        with pytest.raises(SystemExit) as ended:
            app(list(words), prog_name="headrace")
        assert ended.value.code in (None, 0)
        return capsys.readouterr().out

    (waits,) = json.loads(run("audit", "list", "--json"))
    assert (waits["answer"], waits["labels"]) == (differs.id, ["a", "b"])
    assert "adapter" not in json.dumps(waits)
    assert "the challenger alone was right on 1, the champion on 0" in run("audit", "label", differs.id, "a")
    (trial,) = json.loads(run("trial", "list", "--json"))
    assert (trial["stage"], trial["rows"], trial["audits"], trial["e_value"]) == ("shadow", 6, 1, 1.5)
    more = trial["more_audits"]
    assert more > 1
    assert f"about {more} more audits" in run("trial", "list")
    assert f"it needs about {more} more audits" in run("trial", "show", trial["id"])
    assert "old goes on" in run("trial", "stop", trial["id"], "--reason", "to see")
    assert run("trial", "list").strip() == "No trial is open."
    assert "Stopped by hand: to see" in run("trial", "list", "--all")
