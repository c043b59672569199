"""Labels changed by hand: the examples of the help are typed one after another on a project that serves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_cli_journey import Run, base, begun, examples, folder, run

__all__ = ["base", "folder", "run"]  # fixtures
pytestmark = pytest.mark.xdist_group("cli")


def test_labels_are_added_renamed_and_merged(folder: Path, base: Path, run: Run) -> None:
    begun(folder, base, run)
    for line in ("collect", "clean", "turn"):
        assert run(line)[0] == 0
    told = examples()
    ten = (folder / "ten.txt").read_text(encoding="utf-8").splitlines()
    for line in told["label add"]:
        code, out, err = run(line)
        assert code == 0, out + err
    added = json.loads(out)
    assert (added["label"], added["examples"], [p["released"] for p in added["pairs"]]) == (
        "warranty",
        10,
        [True],
    )
    assert json.loads(run(f"predict '{ten[0]} again' --json")[1])[0]["label"] == "invoice"
    for line in told["label rename"]:
        code, out, err = run(line)
        assert code == 0, out + err
    assert json.loads(out)["replaced"] == ["bill"]
    assert json.loads(run(f"predict '{ten[0]} again' --json")[1])[0]["label"] == "billing"
    for line in told["label merge"]:
        code, out, err = run(line)
        assert code == 0, out + err
    assert json.loads(run(f"predict '{ten[0]} again' --json")[1])[0]["label"] == "refund"
    code, _, err = run("label rename paperwork papers")
    assert (code, "has no label 'paperwork'" in err) == (2, True)
    code, _, err = run("label add parcel --examples ten.txt")
    assert (code, "has the label 'parcel' already" in err) == (2, True)
    assert "label 'invoice' added" in run("history")[1]
