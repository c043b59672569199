"""Verbs on webhooks, for the project: their secrets, and what became of deliveries."""

from __future__ import annotations

import os
from collections.abc import Callable

from headrace.channels.messengers.standard import BYTES, secret_of
from headrace.data.open_project import OpenProject
from headrace.errors import Conflict
from headrace.store.deliveries import Deliveries, Delivery, DeliveryState

Random = Callable[[int], bytes]


class WebhookVerbs:
    """Customers who are elsewhere: secrets that both sides know, deliveries in and out."""

    def webhook_secrets(
        self: OpenProject,
        channel: str,
        *,
        rotate: bool = False,
        retire: bool = False,
        random_bytes: Random = os.urandom,
    ) -> list[str]:
        """The channel's secrets, the newest first; the first is made where there is none.

        `rotate` makes a new one beside the last, `retire` then ends the older. Raises Conflict where two are
        valid already, NotFound where there is no such channel.
        """
        self.recipe.channel(channel)
        deliveries: Deliveries = self.store.deliveries
        known = deliveries.secrets(channel)
        if retire:
            known = known[:1]
        elif rotate and len(known) > 1:
            raise Conflict(
                f"two secrets of {channel} are valid already.",
                cure=f"End the older one first: headrace webhook secret {channel} --retire",
            )
        if not known or (rotate and not retire):
            known = [secret_of(random_bytes(BYTES)), *known]
        deliveries.set_secrets(channel, known)
        return known

    def deliveries(
        self: OpenProject, channel: str | None = None, state: DeliveryState | None = None
    ) -> list[Delivery]:
        """Deliveries of webhooks, newest first; raises NotFound for a channel that is none."""
        if channel is not None:
            self.recipe.channel(channel)
        return self.store.deliveries.list(channel=channel, state=state)

    def deliver_again(self: OpenProject, channel: str) -> int:
        """Try anew what was given up on its way out to a channel; how many that were. Raises NotFound."""
        self.recipe.channel(channel)
        dead = [
            one for one in self.store.deliveries.list(channel=channel, state="dead") if one.direction == "out"
        ]
        for one in dead:
            self.store.deliveries.settle(one, "waiting", again=self.clock())
        return len(dead)
