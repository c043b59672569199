"""A desk over a real store, its neighbours pretended: an FAQ of four answers, labels as the words say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from headrace.apps.support.desk import Desk
from headrace.apps.support.ports import Learn, Notify, Unwritten
from headrace.errors import NotServed
from headrace.feedback.trust import Sight
from headrace.project import Project
from headrace.records import Answer, Conversation, Decision, Document, Feedback, Passage, Ticket, random_id

RECIPE = """\
name: helped
tasks:
  intent: {base: all-MiniLM-L6-v2, labels: [create_key, rollback, quota, install]}
  mood: {base: all-MiniLM-L6-v2, labels: [negative, positive]}
  passage: {base: all-MiniLM-L6-v2, kind: embed}
channels:
  shop: {tasks: [intent, mood, passage], language: en}
  partner: {tasks: [intent, mood, passage], language: en}
  silent: {tasks: [intent], language: en}
support: {channels: [shop, partner], intent: intent, sentiment: mood, search: passage}
"""
FAQ = {
    "create_key": ("Run headrace key new CHANNEL.", "运行 headrace key new 渠道名。"),
    "rollback": ("Run headrace rollback.", "运行 headrace rollback。"),
    "quota": ("Raise daily_quota in headrace.yaml.", "在 headrace.yaml 里调高 daily_quota。"),
    "install": ("Run pip install headrace.", "运行 pip install headrace。"),
}
WORDS = {
    "create_key": ("key", "密钥"),
    "rollback": ("roll", "撤销"),
    "quota": ("quota", "额度"),
    "install": ("install", "安装"),
}
NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)


class Clock:
    """Stands still; `later` moves it."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class PretendModel:
    """Says the intent whose word stands in the last line that has one; `taught` texts first, as memory would."""

    project: Project
    sure: float = 0.9
    down: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, text: str, task: str, channel: str) -> Answer:
        self.asked.append((task, text))
        if self.down:
            raise NotServed("nothing answers yet.")
        label, because = self._label(text, task, channel)
        answer = Answer(
            random_id("ans"), channel, task, text, label, self.sure, "rel_1", "adp_1", NOW, because
        )
        self.project.store.answers.add([answer])
        return answer

    def _label(self, text: str, task: str, channel: str) -> tuple[str, str | None]:
        if task == "mood":
            return ("negative" if "useless" in text or "气死" in text else "positive"), None
        for said in reversed(self.project.store.feedback.live(task, channel)):
            if said.feedback.text.split()[-1] == text.split()[-1]:
                return said.feedback.label or "", said.feedback.id
        for line in reversed(text.lower().splitlines()):
            for intent, words in WORDS.items():
                if any(word in line for word in words):
                    return intent, None
        return "install", None


@dataclass(frozen=True)
class PretendFound:
    passage: Passage
    chance: float


@dataclass(frozen=True)
class PretendSearched:
    found: tuple[PretendFound, ...]
    adapter: str = ""
    release: str = ""
    because: str | None = None


@dataclass
class PretendSearch:
    """Every passage of the channel that shares a word with the question; the more words, the likelier."""

    project: Project
    asked: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)

    def search(
        self, text: str, *, task: str | None, channel: str, limit: int = 5, context: Sequence[str] = ()
    ) -> PretendSearched:
        self.asked.append((text, tuple(context)))
        words = set(" ".join([*context, text]).lower().strip("?？").split())
        found = []
        for passage in self.project.store.documents.passages(channel):
            shared = words & set(f"{passage.title} {passage.text}".lower().strip("?？").split())
            if shared:
                found.append(PretendFound(passage, min(0.95, 0.3 * len(shared))))
        return PretendSearched(tuple(sorted(found, key=lambda one: -one.chance)[:limit]))


@dataclass
class PretendGuarantee:
    """Alone from `alone` on, asked back from `ask` on; the coin draws `drawn`."""

    alone: float = 0.8
    ask: float = 0.5
    drawn: float = 0.0

    def decide(self, task: str, channel: str, score: float) -> Decision:
        return "alone" if score >= self.alone else "ask" if score >= self.ask else "person"

    def rate(self, task: str, channel: str) -> float:
        return self.drawn


@dataclass(frozen=True)
class PretendSentence:
    text: str
    sources: tuple[str, ...]


@dataclass
class PretendWriter:
    """Two sentences of the first two passages; Unwritten where `knows` is False."""

    knows: bool = True
    read: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)

    def write(
        self,
        question: str,
        passages: Sequence[Passage],
        language: str,
        history: Sequence[str],
        *,
        channel: str,
    ) -> Iterator[PretendSentence]:
        self.read.append((question, tuple(p.id for p in passages)))
        if not self.knows:
            raise Unwritten
        for number, passage in enumerate(passages[:2]):
            yield PretendSentence(f"Part {number}.", (passage.id,))


class ShutAt:
    """Closed between two moments."""

    def __init__(self) -> None:
        self.open = True

    def is_open(self, at: datetime) -> bool:
        return self.open

    def next_opening(self, at: datetime) -> datetime | None:
        return at + timedelta(hours=3)


@dataclass
class Stand:
    """A project with its FAQ, and everything pretended around its desk."""

    folder: Path
    guarantee: PretendGuarantee = field(default_factory=PretendGuarantee)
    writer: PretendWriter | None = None
    told: list[Ticket] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not (self.folder / "headrace.yaml").exists():
            Project.init(self.folder, recipe=RECIPE).close()
            project = Project(self.folder)
            fill(project)
            project.close()
        self.clock, self.hours = Clock(), ShutAt()
        self.project = Project(self.folder, clock=self.clock)
        self.model, self.search = PretendModel(self.project), PretendSearch(self.project)
        self.desk = self.another()

    def another(self, *, notify: Notify | None = None, learn: Learn | None = None) -> Desk:
        """Another desk on the same store, as a second process has it."""
        return Desk(
            self.project,
            understand=self.model,
            search=self.search,
            guarantee=self.guarantee,
            write=self.writer,
            hours=self.hours,
            notify=notify or self._tell,
            learn=learn,
            see=_see,
        )

    def _tell(self, ticket: Ticket, conversation: Conversation) -> None:
        self.told.append(ticket)


def _see(said: Feedback) -> Sight:
    return Sight(chance=0.5)


def fill(project: Project) -> None:
    """The FAQ in English and Chinese, for all channels; nothing of any one channel's."""
    for intent, texts in FAQ.items():
        for language, text in zip(("en", "zh"), texts, strict=True):
            title = f"{WORDS[intent][language == 'zh']}?"
            put(project, f"{intent}_{language}", title, text, language=language, intent=intent)


def put(
    project: Project,
    name: str,
    title: str,
    text: str,
    *,
    channel: str | None = None,
    language: str = "en",
    intent: str | None = None,
) -> Passage:
    """A document of one passage; curated where it answers an intent."""
    document = Document(f"doc_{name}", "faq", name, title, language, channel, "digest", NOW)
    passage = Passage(
        f"pas_{name}",
        document.id,
        channel,
        language,
        title,
        text,
        0,
        NOW,
        curated=intent is not None,
        intent=intent,
    )
    project.store.documents.put(document, [passage])
    return passage
