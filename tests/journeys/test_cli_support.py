"""Customer service by hand: asked in the terminal, answered, checked, and how the promise stands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support_stand import FAQ, NOW, Stand
from test_cli_journey import Run, run

from headrace.records import Conversation, Ticket

__all__ = ["run"]  # a fixture
pytestmark = pytest.mark.xdist_group("cli")


def test_the_queue_tells_how_many_it_leaves_out(tmp_path: Path, run: Run) -> None:
    stand = Stand(tmp_path / "shop")
    store = stand.project.store
    with store.transaction() as connection:
        for name in (f"c{number}" for number in range(201)):
            store.conversations.begin_in(connection, Conversation(name, "shop", "en", "", NOW))
            store.tickets.open_in(connection, Ticket(f"t{name}", name, "shop", "", "asked", NOW))
    stand.project.close()
    _, _, err = run(f"headrace support tickets --project {tmp_path / 'shop'}")
    assert "Shown: 200 of 201." in err


def test_a_customer_asks_and_a_person_answers_in_the_terminal(tmp_path: Path, run: Run) -> None:
    Stand(tmp_path / "shop").project.close()
    at = f"--project {tmp_path / 'shop'}"
    code, out, err = run(f"headrace support ask 'a key?' --channel shop {at}")
    assert code == 0, err
    assert "machine (person)" in out
    (waiting,) = json.loads(run(f"headrace support tickets --json {at}")[1])
    ticket, passage = waiting["ticket"]["id"], waiting["suggestions"][0]["passage"]["id"]
    assert waiting["question"]["text"] in run(f"headrace support tickets {at}")[1]
    assert run(f"headrace support take {ticket} --agent ann {at}")[0] == 0
    assert run(f"headrace support take {ticket} --agent bob {at}")[0] == 2, "somebody has it"
    code, out, err = run(f"headrace support answer {ticket} --agent ann --passage {passage} {at}")
    assert code == 0, err
    assert FAQ["create_key"][0] in out
    assert "Everything that was drawn is checked." in run(f"headrace support check {at}")[1]

    run(f"headrace support ask 'roll it back' --channel shop {at}")
    (drawn,) = json.loads(run(f"headrace support check --json {at}")[1])
    assert run(f"headrace support check {drawn['id']} right --agent ann {at}")[0] == 0
    standing = json.loads(run(f"headrace support standing --channel shop --json {at}")[1])
    assert {one["task"]: one["checked"] for one in standing} == {"intent": 0, "passage": 2}
    assert run(f"headrace support secret {at}")[1].startswith("whsec_")
