"""Labelling by keyboard, a card at a time: rows without a label, unsure answers, what was drawn or held back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from starlette.responses import Response

from headrace.errors import NotFound
from headrace.web.console.visit import BOTH, Page, Screen, Visit

KEYS = "123456789abcdefghijklmnopqrstuvwxyz"
LATEST = 500  # answers among which the unsure ones are looked for
MOST = 200


@dataclass(frozen=True, slots=True)
class Card:
    """One thing to judge; `first` are the choices that lead, `said` is what the machine said of it."""

    id: str
    task: str
    channel: str
    text: str
    said: str = ""
    sure: float | None = None
    why: str = ""
    choices: Sequence[str] = ()
    words: bool = False
    sources: Sequence[str] = field(default_factory=tuple)


def rows(visit: Visit) -> list[Card]:
    """Rows that came without a label."""
    found = visit.project.unlabelled(limit=MOST)
    labels = {task: visit.project.labels(task) for task in {row.task for row in found}}
    return [
        Card(row.id, row.task, row.channel, row.text, choices=labels[row.task])
        for row in found
        if labels[row.task]
    ]


def unsure(visit: Visit) -> list[Card]:
    """Answers that nobody has judged, the least sure first."""
    judged = {one.answer for one in visit.project.feedback(used=False)}
    kept = [
        one
        for one in visit.project.answers(limit=LATEST)
        if one.id not in judged and one.task in visit.project.recipe.tasks
    ]
    kept = [one for one in kept if visit.project.recipe.task(one.task).kind == "classify"]
    labels = {task: visit.project.labels(task) for task in {one.task for one in kept}}
    kept.sort(key=lambda one: one.confidence)
    return [
        Card(
            one.id,
            one.task,
            one.channel,
            one.text,
            one.label,
            one.confidence,
            choices=[one.label, *(label for label in labels[one.task] if label != one.label)],
        )
        for one in kept[:MOST]
    ]


def checks(visit: Visit) -> list[Card]:
    """Answers of customer service that were drawn for a check."""
    store = visit.project.store.conversations
    found = []
    for one in visit.console.desk.to_check(limit=MOST) if visit.console.serves else ():
        asked = store.message(one.reply_to).text if one.reply_to else ""
        channel = store.get(one.conversation).channel
        choices = ("right", "wrong")
        found.append(
            Card(one.id, one.task or "", channel, asked, one.text, one.score, "", choices, words=True)
        )
    return found


def audits(visit: Visit) -> list[Card]:
    """Answers that a trial drew for audit; what either side said is not shown, so that it persuades nobody."""
    found = visit.project.audits(limit=MOST)
    return [Card(a.id, a.task, a.channel, a.text, choices=visit.project.labels(a.task)) for a, _ in found]


def held(visit: Visit) -> list[Card]:
    """Feedback of users that counts for nothing until the owner has looked at it."""
    return [
        Card(
            one.id,
            one.task,
            one.channel,
            one.text,
            one.label or one.verdict,
            one.chance,
            one.reason or "",
            choices=("accept", "reject"),
            words=True,
        )
        for one in visit.project.feedback(state="held")[:MOST]
    ]


def _row(visit: Visit, card: str, choice: str) -> None:
    visit.project.label_row(card, choice)


def _answer(visit: Visit, card: str, choice: str) -> None:
    right = visit.form.get("said") == choice
    visit.project.add_feedback(card, "right" if right else "correction", None if right else choice)


def _check(visit: Visit, card: str, choice: str) -> None:
    visit.console.desk.check(card, visit.user.name, choice == "right")


def _audit(visit: Visit, card: str, choice: str) -> None:
    visit.project.audit(card, choice, by=visit.user.name)


def _held(visit: Visit, card: str, choice: str) -> None:
    (visit.project.accept_feedback if choice == "accept" else visit.project.reject_feedback)(card)


KINDS: dict[str, tuple[Callable[[Visit], list[Card]], Callable[[Visit, str, str], None]]] = {
    "rows": (rows, _row),
    "unsure": (unsure, _answer),
    "checks": (checks, _check),
    "audits": (audits, _audit),
    "held": (held, _held),
}


def show(visit: Visit) -> Response:
    """The card whose turn it is, and how many more there are of each kind."""
    found = {name: cards(visit) for name, (cards, _) in KINDS.items() if _may(visit, name)}
    first = next((name for name, cards in found.items() if cards), "rows")
    kind = _known(visit, visit.query("kind") or first)
    cards = found[kind]
    place = min(_number(visit.query("at")), max(len(cards) - 1, 0))
    return visit.page(
        "labelling.html",
        title=visit.say("nav.labelling"),
        kind=kind,
        kinds={name: len(cards) for name, cards in found.items()},
        card=cards[place] if cards else None,
        place=place,
        count=len(cards),
        keys=KEYS,
    )


def choose(visit: Visit) -> Response:
    """Carry out what was chosen, and show the next card."""
    kind = _known(visit, visit.given("kind"))
    KINDS[kind][1](visit, visit.given("id"), visit.given("choice"))
    return visit.go("/labelling", "labelled", kind=kind, at=str(_number(visit.form.get("at"))))


def _may(visit: Visit, kind: str) -> bool:
    """Whether a user judges cards of this kind: what users' word is worth is the owner's to say."""
    return kind != "held" or visit.user.role == "owner"


def _known(visit: Visit, kind: str) -> str:
    if kind not in KINDS or not _may(visit, kind):
        raise NotFound("there is no such list.", cure="Choose one of those shown.")
    return kind


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 6 else 0


SCREEN = Screen(
    "labelling", [Page("/labelling", show, roles=BOTH), Page("/labelling", choose, "POST", roles=BOTH)]
)
