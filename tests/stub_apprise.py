"""An apprise that sends nothing: it remembers, refuses or breaks as the address says, and logs too much."""

from __future__ import annotations

import logging
from types import ModuleType
from typing import Any

KNOWN = ("mailto", "json", "broken", "deaf")


class StubApprise(ModuleType):
    """Stands in the place of the module; `sent` is (address, title, body)."""

    def __init__(self) -> None:
        super().__init__("apprise")
        self.sent: list[tuple[str, str, str]] = []
        stub = self

        class AppriseAsset:
            def __init__(self, **settings: object) -> None:
                self.settings = settings

        class Apprise:
            def __init__(self, asset: AppriseAsset) -> None:
                self.address = ""

            def add(self, address: str) -> bool:
                logging.getLogger("apprise").error("loaded %s", address)
                self.address = address
                return address.partition("://")[0] in KNOWN

            def notify(self, body: str, title: str, body_format: str) -> bool:
                logging.getLogger("apprise").error("sending to %s", self.address)
                if self.address.startswith("broken"):
                    raise RuntimeError(f"no route to {self.address}")
                if self.address.startswith("deaf"):
                    return False
                stub.sent.append((self.address, title, body))
                return True

        self.AppriseAsset: Any = AppriseAsset
        self.Apprise: Any = Apprise
