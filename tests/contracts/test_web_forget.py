"""A running server forgets a person within a second of `headrace forget`, and keeps no reply of theirs."""

from __future__ import annotations

import time
from pathlib import Path

from web_stand import LABELS, standing

from headrace.feedback.record import pseudonym
from headrace.flywheel.forgetting.forget import Forgetting
from headrace.recipe import Recipe
from headrace.records import random_id
from headrace.store import Store

TEXT = "where does the ferry to the island leave from"


def test_a_running_server_forgets_within_a_second(store: Store, tmp_path: Path) -> None:
    with standing(store) as stand:
        first = stand.post("/v1/predict", {"text": TEXT, "person": "user-17"}, key="again").json["answers"][0]
        wanted = next(label for label in LABELS if label != first["label"])
        said = {"answer": first["id"], "verdict": "correction", "label": wanted, "person": "user-17"}
        assert stand.post("/v1/feedback", said, key="and again").status == 200
        other = stand.post("/v1/predict", {"text": TEXT, "person": "user-18"}).json["answers"][0]
        assert (other["label"], bool(other["because"])) == (wanted, True)

        who = pseudonym("user-17", store.salts.persons(random_id))
        recipe = Recipe.model_validate({"name": "shop", "tasks": {"intent": {"labels": LABELS}}})
        work = Forgetting(store, recipe, tmp_path, clock=stand.clock, ids=random_id)
        done = work.forget(who)
        deleted = {name: n for name, n in done.deleted.items() if n}
        assert deleted == {"feedback": 1, "answers": 1, "replies": 2}

        began = time.monotonic()
        while stand.post("/v1/predict", {"text": TEXT}).json["answers"][0]["label"] != first["label"]:
            assert time.monotonic() - began < 1
            time.sleep(0.02)
    kept = store.answers.get(other["id"])
    assert kept.because is None, "what was said to others names nothing of theirs"
    assert store.replies.find("shop", "again") is None
