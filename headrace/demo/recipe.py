"""The recipe of the demo's project: a small business with two tasks and three channels."""

from __future__ import annotations

HEAD = """\
# A small business: reviews of its shop in Chinese, and its help desk and forum in English.
name: first-turn
seed: {seed}

tasks:
  sentiment:
    base: multilingual-e5-small
    labels: [negative, positive]
    longest: {longest}
  intent:
    base: all-MiniLM-L6-v2
    longest: 96
"""

CHANNEL = """\
  {name}:
    tasks: [{task}]
    language: {language}
"""

SOURCE = """\
  {name}:
    channel: {name}
    task: {task}
    connector: files
    options: {{path: data/{name}.jsonl, text: text, label: label{split}}}
"""

TAIL = """
clean:
  test_share: 0.2               # of rows that do not say themselves; about 1,200 reviews judge

train:
  method: {method}

gate:
  margin: 3.0                   # points of accuracy that a release may lose: a few hundred rows judge
"""


def text(channels: dict[str, tuple[str, str, bool]], *, seed: int, quick: bool) -> str:
    """The recipe for `channels`: name -> (task, language, whether its rows say their split)."""
    named = [CHANNEL.format(name=n, task=t, language=lang) for n, (t, lang, _) in channels.items()]
    sources = [
        SOURCE.format(name=n, task=t, split=", split: split" if fixed else "")
        for n, (t, _, fixed) in channels.items()
    ]
    return "".join(
        [
            HEAD.format(seed=seed, longest=64 if quick else 96),
            "\nchannels:\n",
            *named,
            "\nsources:\n",
            *sources,
            TAIL.format(method="head" if quick else "auto"),
        ]
    )
