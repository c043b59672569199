"""What the support demo is made of: its recipe, its rows, its FAQ, and what customers will ask."""

from __future__ import annotations

import csv
import json
import os
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from headrace.demo import helpdesk
from headrace.demo.questions import Question
from headrace.errors import NotFound

HERE = Path(__file__).parent
CHANNEL = "helpdesk"
CHINESE = HERE / "helpdesk_zh.jsonl"
FAQ = HERE / "helpdesk_faq.csv"
LIVE = 300
RECIPE = """\
# A help desk in English and Chinese: its questions, its FAQ, and how often its machine may be wrong.
name: help-desk
seed: {seed}

tasks:
  intent:
    base: multilingual-e5-small
    longest: 64

channels:
  {channel}:
    tasks: [intent]
    language: en

sources:
  questions:
    channel: {channel}
    task: intent
    connector: files
    options: {{path: data/questions.jsonl, text: text, label: label, split: split}}

knowledge:
  faq:
    format: faq
    options: {{path: data/faq.csv}}

train:
  method: head

gate:
  margin: 5.0

support:
  channels: [{channel}]
  intent: intent
  target: 0.2                   # of what is answered alone may be wrong; 0.05 takes far more checks
  audit: 0.1                    # of all messages, so many are checked by a person later on; 0.02 in earnest
"""


@dataclass(frozen=True, slots=True)
class Material:
    """Rows to learn from, the lines of the FAQ, and what customers ask, with the right label.

    `lessons` are questions that were never seen in any words, each with a rewording.
    """

    rows: list[dict[str, str]]
    faq: list[dict[str, str]]
    asked: list[Question]
    lessons: list[Question]


def ours() -> Material:
    """The help desk of this project: 32 intents, a curated answer each in English and Chinese.

    Its past questions are trained on, and customers ask them again in other words; every fifth was kept back.
    """
    desks = [helpdesk.material(name) for name in ("helpdesk-en", "community-en")]
    live = [question for desk in desks for question in desk.live if question.rewording]
    with open(CHINESE, encoding="utf-8") as lines:
        live += [Question(q["text"], q["intent"], q["rewording"]) for q in map(json.loads, lines)]
    past = [question for number, question in enumerate(live) if number % 5]
    faq = _table(FAQ)
    rows = [{"text": line["question"], "label": line["intent"], "split": "train"} for line in faq]
    rows += [{"text": one.text, "label": one.label, "split": "train"} for one in past]
    rows += [row for desk in desks for row in desk.rows]
    return Material(rows, faq, [Question(one.rewording or "", one.label) for one in past], live[::5])


def named(data: str, *, seed: int) -> Material:
    """A real set: a folder, or a name under HEADRACE_DATA, with train.csv and test.csv (text, intent).

    Its faq.csv (question, answer, intent) answers, where there is one; else a stand-in for each answer says
    what would stand there. Questions are drawn from the test rows. Raises NotFound.
    """
    folder = next((path for path in _folders(data) if (path / "train.csv").is_file()), None)
    if folder is None:
        cure = "Name a folder that holds train.csv and test.csv with the columns text and intent."
        raise NotFound(f"there is no data {data!r}.", where="--data", cure=cure)
    train, test = _pairs(folder / "train.csv"), _pairs(folder / "test.csv")
    live = random.Random(seed).sample(test, min(LIVE, len(test) // 2))
    kept = [pair for pair in test if pair not in set(live)]
    rows = [{"text": t, "label": label, "split": "train"} for t, label in train]
    rows += [{"text": t, "label": label, "split": "test"} for t, label in kept]
    faq = _table(folder / "faq.csv") if (folder / "faq.csv").is_file() else list(_stand_ins(train))
    return Material(rows, faq, [Question(text, label) for text, label in live], [])


def write(material: Material, folder: Path) -> None:
    """The project's data files."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in material.rows)
    (folder / "questions.jsonl").write_text(lines, encoding="utf-8")
    with open(folder / "faq.csv", "w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(material.faq[0]), extrasaction="ignore", lineterminator="\n")
        table.writeheader()
        table.writerows(material.faq)


def _folders(data: str) -> Iterator[Path]:
    yield Path(data)
    if "HEADRACE_DATA" in os.environ:
        yield Path(os.environ["HEADRACE_DATA"]) / data


def _pairs(path: Path) -> list[tuple[str, str]]:
    """Text and label of each row; raises NotFound where a column or the file is missing."""
    rows = _table(path) if path.is_file() else []
    label = next((name for name in ("intent", "label", "category") if rows and name in rows[0]), None)
    if label is None or "text" not in rows[0]:
        raise NotFound(f"no texts and labels in {path}.", cure="It needs the columns text and intent.")
    return list(dict.fromkeys((row["text"].strip(), row[label]) for row in rows))


def _table(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _stand_ins(pairs: Iterable[tuple[str, str]]) -> Iterator[dict[str, str]]:
    for label in sorted({label for _, label in pairs}):
        said = label.replace("_", " ")
        yield {
            "question": said,
            "answer": f"(Here stands the answer to: {said}.)",
            "intent": label,
            "language": "",
        }
