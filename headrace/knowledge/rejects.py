"""What is wrong with a source's documents: in quarantine as long as it is wrong, and no longer."""

from __future__ import annotations

from headrace.data.connectors import Broken
from headrace.data.quarantine import DOCUMENTS
from headrace.data.secrets import mask_keys
from headrace.records import Clock, Rejected, content_id
from headrace.store import Store


class Rejects:
    """What one reading of a source rejects."""

    def __init__(self, store: Store, source: str, channel: str, clock: Clock) -> None:
        self._store, self._source, self._channel, self._clock = store, source, channel, clock
        self._found: dict[tuple[str, str, str], Broken] = {}
        self._places: set[str] = set()

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._found)

    def add(self, broken: Broken) -> None:
        """One thing that cannot be a document."""
        content = mask_keys(broken.content)[0]
        self._found[(broken.place, content, broken.reason)] = broken
        self._places.add(broken.place)

    def covers(self, place: str) -> bool:
        """Whether the document at `place`, or the file or page that it is part of, could not be read."""
        return place in self._places or place.partition("#")[0] in self._places

    def store(self, *, whole: bool) -> None:
        """Put what is new into quarantine; where the source was read whole, what is right again leaves it."""
        waiting = self._store.quarantine.list(task=DOCUMENTS, limit=None)
        known = {(one.place, one.content, one.reason): one for one in waiting if one.source == self._source}
        at = self._clock()
        new = [self._rejected(key, broken) for key, broken in self._found.items() if key not in known]
        right = [one for key, one in known.items() if key not in self._found] if whole else []
        with self._store.transaction() as connection:
            self._store.quarantine.add_in(connection, new)
            for one in right:
                self._store.quarantine.mark_restored_in(connection, one.id, at)

    def _rejected(self, key: tuple[str, str, str], broken: Broken) -> Rejected:
        place, content, reason = key
        at = self._clock()
        return Rejected(
            id=content_id("q", self._channel, self._source, place, content, reason, at.isoformat()),
            channel=self._channel,
            task=DOCUMENTS,
            source=self._source,
            place=place,
            content=content,
            label=None,
            reason=reason,
            detail=mask_keys(broken.detail)[0],
            at=at,
        )
