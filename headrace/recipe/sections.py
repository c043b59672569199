"""What stands in headrace.yaml, section by section, with every default."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from headrace.errors import NotFound
from headrace.recipe.hours import checked_opening, checked_zone
from headrace.recipe.places import checked_network, checked_origin
from headrace.records import Channel

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Detail = Literal["email", "phone", "card", "identity", "key", "ip"]


class Section(BaseModel):
    """Base of every part of the recipe: unknown keys are mistakes, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TaskRecipe(Section):
    """What is asked of the model."""

    kind: Literal["classify", "embed"] = Field(
        default="classify", description="embed finds the passage that answers a text"
    )
    base: str = "all-MiniLM-L6-v2"
    labels: tuple[str, ...] = ()
    longest: int = Field(default=128, ge=8, le=512, description="tokens read of a text")
    prefix: str | None = Field(
        default=None, description="put before each text; None takes what the base wants"
    )
    precision: Literal["int8", "fp32"] = Field(default="int8", description="of the products that serve")


class WebhookRecipe(Section):
    """Where a channel's customers are by webhooks: their messages come to POST /v1/hooks/CHANNEL."""

    url: str = Field(pattern=r"^https?://\S+$", description="where what is said to them goes")
    messenger: str = Field(default="standard", description="standard, or package:Class")
    options: dict[str, Any] = Field(default_factory=dict)
    allow: tuple[str, ...] = Field(
        default=(), description="hosts, with an odd port, within a network of yours"
    )


class ChannelRecipe(Section):
    """Who asks."""

    tasks: tuple[str, ...] = Field(min_length=1)
    language: str = ""
    owner: str = ""
    daily_quota: int | None = Field(default=None, ge=1)
    share: bool = Field(True, description="its examples may train the shared adapter")
    origins: tuple[Annotated[str, AfterValidator(checked_origin)], ...] = Field(
        default=(), description="web pages that may use its public keys, as https://shop.example"
    )
    webhook: WebhookRecipe | None = Field(default=None, description="its customers are elsewhere")


class SourceRecipe(Section):
    """Where rows come from, for one (task, channel)."""

    channel: str
    task: str
    connector: str = "files"
    options: dict[str, Any] = Field(default_factory=dict)


class CleanRecipe(Section):
    """What is rejected, marked or masked."""

    longest: int = Field(default=4000, ge=1, description="characters of a text")
    near_duplicate: float = Field(default=0.85, gt=0, le=1, description="Jaccard index of character 5-grams")
    test_share: float = Field(default=0.2, gt=0, lt=1)
    mask: tuple[Detail, ...] = ("email", "phone", "card", "identity", "key")
    conflicts: Literal["reject", "majority"] = "reject"


class TrainRecipe(Section):
    """How examples become an adapter."""

    method: str = Field(
        default="auto",
        description="auto tries head, then lora on q,v, then on all; it keeps what validation says pays",
    )
    options: dict[str, Any] = Field(default_factory=dict)
    validation_share: float = Field(default=0.1, gt=0, lt=0.5)
    own_adapters: bool = True
    correction_weight: float = Field(
        default=1.0, gt=0, description="weight of an example that came from feedback"
    )


class GateRecipe(Section):
    """What a challenger must show on held-out and golden rows before it is released."""

    margin: float = Field(default=1.0, ge=0, le=100, description="points of accuracy that a release may lose")
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    slice_margin: float = Field(
        default=10.0,
        ge=0,
        le=100,
        description="points that a class or slice may lose; more is refused where it is sure",
    )
    decisions: int = Field(default=20, ge=1, description="decisions that a held-out row serves at most")
    size: int | None = Field(default=None, ge=1, description="kilobytes of an adapter at most")
    latency: float = Field(default=1.5, ge=1, description="times the serving adapter's work of a row at most")
    calibration: float = Field(
        default=3.0, ge=0, le=100, description="points that the calibration error may grow"
    )
    expected: int = Field(
        default=0, ge=0, description="questions of expectations.csv that a release may break"
    )


class ReleaseRecipe(Section):
    """How a challenger that passed the gate comes to serve."""

    way: Literal["auto", "offline", "proved"] = Field(
        default="auto", description="auto proves online where as many audits arrive as a proof needs"
    )
    alpha: float = Field(
        default=0.05, gt=0, lt=0.5, description="of false releases, over all channels and challengers"
    )
    audits: float = Field(default=0.2, gt=0, le=1, description="share of differing answers drawn for audit")
    canary: float = Field(default=0.1, gt=0, le=1, description="share of users that a canary answers")
    watch: float = Field(
        default=0.05, ge=0, le=1, description="share of rows compared with the last adapter after a release"
    )
    false_alarm: int = Field(
        default=10_000,
        ge=100,
        description="audited answers between two false alarms of the watch, on average",
    )
    patience: int = Field(default=20_000, ge=10, description="rows after which an undecided trial ends")


class TrustRecipe(Section):
    """How much of what users say counts before a person has looked at it."""

    person: int = Field(
        default=3, ge=1, description="live corrections of one person in one region of meaning"
    )
    person_day: int = Field(default=20, ge=1, description="corrections of one person in a day")
    key_day: int = Field(default=2000, ge=1, description="corrections through one key in a day")
    unnamed_day: int = Field(
        default=200, ge=1, description="corrections of a channel that name nobody, a day"
    )
    region_day: int = Field(default=10, ge=1, description="corrections in one region of meaning in a day")
    agree: int = Field(default=2, ge=1, description="persons who must agree on a contested correction")
    share: float = Field(
        default=0.01, gt=0, le=1, description="of a channel's training rows that one person may teach"
    )
    burst: int = Field(default=60, ge=1, description="corrections of a channel in a minute")
    plausible: float = Field(
        default=0.1, ge=0, le=1, description="least chance of a user's label for it to reach rewordings"
    )


class AlertRecipe(Section):
    """Who is told of a release, a rollback or a turn that failed."""

    to: tuple[str, ...] = Field(default=(), description="addresses as apprise writes them")
    on: tuple[Literal["release", "refusal", "rollback", "failure", "drift", "ticket"], ...] = (
        "rollback",
        "failure",
        "drift",
    )


class MemoryRecipe(Section):
    """How far a correction reaches before the next turn."""

    enabled: bool = True
    radius: float | None = Field(
        default=None, gt=0, lt=1, description="None learns it from the task's examples"
    )


class ServeRecipe(Section):
    """How the server listens and gathers."""

    host: str = "127.0.0.1"
    port: int = Field(default=8420, ge=0, le=65535)
    batch: int = Field(default=32, ge=1, le=1024, description="rows of one inference at most")
    queue: int = Field(default=1024, ge=64, description="rows waiting at most; beyond it 503")
    body: int = Field(default=1_000_000, ge=1024, description="bytes of a request at most; beyond it 413")
    threads: int = Field(default=1, ge=1, le=64)
    memory: int = Field(
        default=1024, ge=16, le=1 << 20, description="megabytes of adapters in memory; others wait on disk"
    )
    workers: int = Field(default=1, ge=1, le=64, description="processes that share the port and the store")
    acknowledge: Literal["stored", "first"] = Field(
        default="stored", description="when an answer is sent: once it is on disk, or before"
    )
    proxies: tuple[Annotated[str, AfterValidator(checked_network)], ...] = Field(
        default=(), description="addresses of reverse proxies whose X-Forwarded-For is believed"
    )


class KnowledgeRecipe(Section):
    """Where documents come from that answer questions."""

    format: str = Field(description="faq, markdown, html, pdf, site, dify, fastgpt, maxkb, or package:Class")
    options: dict[str, Any] = Field(default_factory=dict)
    channel: str | None = Field(default=None, description="the only channel that it answers; None: all")
    language: str = ""


class HoursRecipe(Section):
    """When persons answer; outside of it a ticket waits and the customer is told so."""

    zone: Annotated[str, AfterValidator(checked_zone)] = "UTC"
    open: tuple[Annotated[str, AfterValidator(checked_opening)], ...] = Field(
        default=(), description='as "mon-fri 09:00-18:00"; empty is always'
    )


class ModelRecipe(Section):
    """A language model behind an OpenAI-style endpoint."""

    url: str
    model: str
    key: str | None = Field(default=None, description="the environment variable that holds its key")
    seconds: float = Field(default=30, gt=0)
    tokens: int = Field(default=256, ge=16, le=4096)


class SupportRecipe(Section):
    """Customer service: who is answered, by what, and how often that may be wrong."""

    channels: tuple[str, ...] = Field(default=(), description="those whose customers are answered")
    intent: str | None = Field(default=None, description="the task that says what a message wants")
    sentiment: str | None = Field(default=None, description="the task that says how a customer feels")
    angry: tuple[str, ...] = Field(default=("negative",), description="its labels that call a person")
    search: str | None = Field(default=None, description="the task of kind embed that finds passages")
    target: float = Field(
        default=0.05, gt=0, lt=1, description="share of what is answered alone that may be wrong"
    )
    targets: dict[str, float] = Field(default_factory=dict, description="the same for single channels")
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="with which the target is held")
    audit: float = Field(
        default=0.02, gt=0, le=1, description="share of messages that a person checks, answered alone or not"
    )
    window: int = Field(default=2000, ge=50, description="latest checked answers that count")
    ask_back: float = Field(
        default=0.1, ge=0, lt=1, description="below the threshold by this much, the customer is asked"
    )
    hours: HoursRecipe = HoursRecipe()
    webhook: str | None = Field(
        default=None, pattern=r"^https?://\S+$", description="told of each waiting ticket"
    )
    writer: ModelRecipe | None = Field(default=None, description="writes answers from passages")

    @property
    def search_task(self) -> str:
        """The task of what was found, by which it is corrected and checked; "search" where words alone find."""
        return self.search or "search"


class RetentionRecipe(Section):
    """Days after which what users said is deleted; None keeps it."""

    answers: int | None = Field(default=None, ge=1, description="answers and searches")
    conversations: int | None = Field(
        default=None, ge=1, description="since the last message; none that waits for a person"
    )
    quarantine: int | None = Field(default=None, ge=1)


class Recipe(Section):
    """The whole of headrace.yaml."""

    name: Name
    seed: int = Field(default=0, ge=0)
    store: str = "store.db"
    tasks: dict[Name, TaskRecipe] = Field(default_factory=dict)
    channels: dict[Name, ChannelRecipe] = Field(default_factory=dict)
    sources: dict[Name, SourceRecipe] = Field(default_factory=dict)
    clean: CleanRecipe = CleanRecipe()
    train: TrainRecipe = TrainRecipe()
    gate: GateRecipe = GateRecipe()
    release: ReleaseRecipe = ReleaseRecipe()
    trust: TrustRecipe = TrustRecipe()
    alerts: AlertRecipe = AlertRecipe()
    memory: MemoryRecipe = MemoryRecipe()
    serve: ServeRecipe = ServeRecipe()
    knowledge: dict[Name, KnowledgeRecipe] = Field(default_factory=dict)
    support: SupportRecipe = SupportRecipe()
    retention: RetentionRecipe = RetentionRecipe()

    def channel(self, name: str) -> Channel:
        """The channel called `name`; NotFound names the nearest."""
        found = self.channels.get(name)
        if found is None:
            raise NotFound(f"there is no channel {name!r}.", cure=nearest(name, self.channels))
        return Channel(name, found.tasks, found.language, found.owner, found.daily_quota)

    def task(self, name: str) -> TaskRecipe:
        """The task called `name`; NotFound names the nearest."""
        found = self.tasks.get(name)
        if found is None:
            raise NotFound(f"there is no task {name!r}.", cure=nearest(name, self.tasks))
        return found

    def pairs(self) -> list[tuple[str, str]]:
        """Every (task, channel), in the file's order."""
        return [(task, name) for name, channel in self.channels.items() for task in channel.tasks]

    def channels_of(self, task: str) -> list[str]:
        """The channels that ask this task."""
        return [name for name, channel in self.channels.items() if task in channel.tasks]


def nearest(name: object, known: Mapping[str, object] | Sequence[str]) -> str:
    """The known name that was perhaps meant, as a sentence of cure."""
    near = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.5)
    if near:
        return f"Did you mean {near[0]!r}?"
    return f"Known: {', '.join(known)}." if known else "There are none yet."
