"""A shop's project that was trained for real, answers alone under a real guarantee, and is served."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from tiny_base import make_tiny_base

from headrace.apps.support.desk import Desk
from headrace.project import Project
from headrace.records import Check, Conversation, Document, Message, Passage
from headrace.web.assembly import assembled
from headrace.web.customers import Customers
from headrace.web.server import background, listening, url_of

FAQ = {
    "delivery": ("我的包裹什么时候到？", "包裹在三天之内送到。"),
    "refund": ("怎么退款？", "退款在七天之内到账。"),
    "invoice": ("怎么开发票？", "在订单页面点击开发票。"),
    "address": ("怎么修改地址？", "发货以前可以在订单页面修改地址。"),
}
ENGLISH = {
    "delivery": ("When does my parcel come?", "A parcel takes three days."),
    "refund": ("How do I get my money back?", "Money comes back in seven days."),
    "invoice": ("How do I get an invoice?", "Press invoice on the page of the order."),
    "address": ("How do I change the address?", "It can be changed before the order is sent."),
}
WORDS = {
    "delivery": ["包裹", "快递", "物流", "发货", "parcel", "delivery"],
    "refund": ["退款", "退钱", "退货", "退回来", "refund", "money back"],
    "invoice": ["发票", "开票", "税票", "抬头", "invoice", "bill"],
    "address": ["地址", "收货地址", "电话号码", "收件人", "address", "street"],
}
FRAMES = ["{}怎么办", "请问{}呢", "我的{}有问题", "{}什么时候可以", "我想问{}"]
FRAMES += ["{} please", "what about {}", "my {} now"]
ASIDES = ["", "谢谢", "急", "今天", "在吗", "订单"]
RECIPE = """\
name: shop
seed: 3
tasks:
  intent: {{base: {base}, longest: 48}}
channels:
  shop: {{tasks: [intent], language: zh, origins: [{origins}]}}
sources:
  shop: {{channel: shop, task: intent, options: {{path: rows.jsonl, split: split}}}}
train: {{method: head}}
gate: {{margin: 40}}
trust: {{plausible: 0.01}}
support: {{channels: [shop], intent: intent, ask_back: 0.05}}
"""


def rows() -> list[dict[str, str]]:
    """Rows of every intent, a third of them held out."""
    drawn, found = random.Random(7), []
    for intent, words in WORDS.items():
        texts = [frame.format(word) + aside for frame in FRAMES for word in words for aside in ASIDES]
        for number, text in enumerate(drawn.sample(texts, 90)):
            found.append({"text": text, "label": intent, "split": "test" if number % 3 == 0 else "train"})
    return found


def make_shop(folder: Path, origins: list[str]) -> Project:
    """The project, trained and released, its FAQ published, its guarantee certified."""
    base = make_tiny_base(folder.parent / "shop-base")
    Project.init(folder, recipe=RECIPE.format(base=base, origins=", ".join(origins))).close()
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows())
    (folder / "rows.jsonl").write_text(lines, encoding="utf-8")
    project = Project(folder)
    project.collect()
    project.clean()
    project.turn()
    for intent, (asked, said) in FAQ.items():
        _publish(project, intent, "zh", asked, said)
        _publish(project, intent, "en", *ENGLISH[intent])
    certify(project, 0.3)
    return project


def certify(project: Project, threshold: float, number: int = 200) -> None:
    """Checks of answers, all right and none surer than needed: what is as sure as `threshold` is given alone."""
    store, now = project.store, project.clock() - timedelta(days=1)
    conversation = Conversation("cnv_checks", "shop", "zh", "", now, "closed")
    with store.transaction() as connection:
        store.conversations.begin_in(connection, conversation)
        for n in range(number):
            message = Message(
                id=f"msg_check_{n}",
                conversation=conversation.id,
                author="machine",
                text="",
                at=now,
                task="intent",
                score=threshold + n / number * 0.5,
                decision="person",
                drawn=True,
            )
            store.conversations.say_in(connection, message)
            store.tickets.check_in(connection, Check(message.id, True, "olga", now))


def _publish(project: Project, intent: str, language: str, title: str, text: str) -> None:
    at, name = project.clock(), f"{intent}_{language}"
    url = f"https://shop.example/help/{intent}"
    document = Document(f"doc_{name}", "faq", name, title, language, None, "digest", at, url=url)
    passage = Passage(
        f"pas_{name}", document.id, None, language, title, text, 0, at, curated=True, intent=intent, url=url
    )
    project.store.documents.put(document, [passage])


@dataclass
class Shop:
    """A shop whose server runs; `key` is the public one."""

    project: Project
    url: str
    key: str

    @property
    def desk(self) -> Desk:
        """The desk of another process on the same store."""
        return Desk(self.project)


def free_port() -> int:
    """A port that nobody listens on."""
    with listening("127.0.0.1", 0) as bound:
        return int(url_of(bound).rpartition(":")[2])


@contextmanager
def shop(folder: Path, *origins: str) -> Iterator[Shop]:
    """A served shop; its own origin is listed, too."""
    port = free_port()
    project = make_shop(folder, [f'"http://127.0.0.1:{port}"', *(f'"{origin}"' for origin in origins)])
    key = project.new_key("shop", "public")[1]
    with (
        assembled(project) as service,
        background(service, port=port, parts=[Customers.of(project, service)]) as url,
    ):
        yield Shop(project, url, key)
    project.close()
