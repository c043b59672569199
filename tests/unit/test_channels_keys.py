"""Keys: what is stored, what is refused before the store is asked, and how soon a revoked one is noticed."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.channels.keys import KeyRing, bearer, digest_of, new_key
from headrace.errors import Unauthorized
from headrace.records import Key
from headrace.store import Store

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Keys:
    """A store of keys that counts look-ups."""

    def __init__(self) -> None:
        self.all: dict[str, Key] = {}
        self.looked = 0

    def add(self, key: Key) -> None:
        self.all[key.digest] = key

    def by_digest(self, digest: str) -> Key | None:
        self.looked += 1
        return self.all.get(digest)


def test_a_key_is_stored_as_its_hash_alone(store: Store) -> None:
    key, secret = new_key(store.keys, "shop")
    assert secret.startswith("hr_live_")
    assert key.digest == digest_of(secret)
    stored = json.dumps([asdict(k) for k in store.keys.list()], default=str)
    assert secret not in stored
    assert secret[12:] not in stored
    assert secret.startswith(key.hint.removesuffix("..."))


def test_several_keys_open_a_channel_and_revoking_one_leaves_the_others(store: Store) -> None:
    (first, old), (_, new) = new_key(store.keys, "shop"), new_key(store.keys, "shop")
    _, other = new_key(store.keys, "forum")
    store.keys.revoke(first.id, NOW)
    ring = KeyRing(store.keys)
    assert ring.authenticate(f"Bearer {new}") == "shop"
    assert ring.authenticate(f"bearer {other}") == "forum"
    with pytest.raises(Unauthorized, match="revoked"):
        ring.authenticate(f"Bearer {old}")


def test_a_revoked_key_is_noticed_within_a_second_and_a_good_one_is_not_looked_up_each_time() -> None:
    keys, now = Keys(), [100.0]
    key, secret = new_key(keys, "shop", clock=lambda: NOW)
    ring = KeyRing(keys, monotonic=lambda: now[0])
    for _ in range(50):
        ring.authenticate(f"Bearer {secret}")
    assert keys.looked == 1
    keys.all[key.digest] = Key(key.id, key.channel, key.digest, key.hint, key.created, revoked=NOW)
    now[0] += 1
    with pytest.raises(Unauthorized):
        ring.authenticate(f"Bearer {secret}")


def test_a_watched_ring_asks_nothing_until_the_version_changes_or_the_watch_falls_silent() -> None:
    keys, now = Keys(), [100.0]
    key, secret = new_key(keys, "shop", clock=lambda: NOW)
    ring = KeyRing(keys, monotonic=lambda: now[0])
    ring.seen((1, 0), now[0])
    ring.authenticate(f"Bearer {secret}")
    for _ in range(50):
        now[0] += 0.2
        ring.seen((1, 0), now[0])
        assert ring.remembered(f"Bearer {secret}") == "shop"
    assert keys.looked == 1
    keys.all[key.digest] = Key(key.id, key.channel, key.digest, key.hint, key.created, revoked=NOW)
    ring.seen((1, 1), now[0])
    with pytest.raises(Unauthorized):
        ring.authenticate(f"Bearer {secret}")


def test_a_ring_whose_watch_falls_silent_asks_the_store_again() -> None:
    keys, now = Keys(), [100.0]
    _, secret = new_key(keys, "shop", clock=lambda: NOW)
    ring = KeyRing(keys, monotonic=lambda: now[0])
    ring.seen((1, 0), now[0])
    ring.authenticate(f"Bearer {secret}")
    now[0] += 1
    assert ring.remembered(f"Bearer {secret}") is None


def test_a_key_read_before_a_change_is_not_trusted_beyond_its_own_time() -> None:
    """The look-up is under way while the watch sees a change: what it read may be the state before."""
    keys, now = Keys(), [100.0]
    _, secret = new_key(keys, "shop", clock=lambda: NOW)
    ring = KeyRing(keys, monotonic=lambda: now[0])
    ring.seen((1, 0), now[0])
    look = keys.by_digest

    def slow(digest: str) -> Key | None:
        found = look(digest)
        ring.seen((1, 1), now[0])
        return found

    keys.by_digest = slow  # type: ignore[method-assign]
    ring.authenticate(f"Bearer {secret}")
    now[0] += 0.6
    ring.seen((1, 1), now[0])
    assert ring.remembered(f"Bearer {secret}") is None


def test_a_new_key_works_at_once_though_it_was_tried_before() -> None:
    keys, made = Keys(), Keys()
    _, secret = new_key(made, "shop")
    ring = KeyRing(keys)
    with pytest.raises(Unauthorized, match="opens nothing"):
        ring.authenticate(f"Bearer {secret}")
    keys.all = made.all
    assert ring.authenticate(f"Bearer {secret}") == "shop"


def test_the_ring_forgets_the_oldest_beyond_its_size() -> None:
    keys = Keys()
    ring = KeyRing(keys, size=2)
    secrets = [new_key(keys, "shop")[1] for _ in range(3)]
    for secret in secrets:
        ring.authenticate(f"Bearer {secret}")
    assert ring.remembered(f"Bearer {secrets[0]}") is None
    assert ring.remembered(f"Bearer {secrets[2]}") == "shop"


@settings(max_examples=50, deadline=None)
@given(seed=st.binary(min_size=32, max_size=32), place=st.integers(8, 56), letter=st.sampled_from("aZ5kQ"))
def test_a_mistyped_key_is_refused_without_asking_the_store(seed: bytes, place: int, letter: str) -> None:
    keys = Keys()
    _, secret = new_key(keys, "shop", random_bytes=lambda n: seed)
    assert len(secret) == 57
    wrong = secret[:place] + letter + secret[place + 1 :]
    ring = KeyRing(keys)
    if wrong == secret:
        assert ring.authenticate(f"Bearer {wrong}") == "shop"
    else:
        with pytest.raises(Unauthorized, match="checksum"):
            ring.authenticate(f"Bearer {wrong}")
        assert keys.looked == 0


@settings(max_examples=50, deadline=None)
@given(header=st.none() | st.text(max_size=80) | st.text(max_size=80).map("Bearer hr_live_{}".format))
def test_any_other_header_is_unauthorized_and_the_message_does_not_repeat_it(header: str | None) -> None:
    with pytest.raises(Unauthorized) as caught:
        bearer(header)
    assert caught.value.cure
    if header and len(header) > 20:
        assert header not in caught.value.message


def test_a_public_key_opens_what_a_secret_one_does_not_and_the_other_way_round(store: Store) -> None:
    (_, secret), (_, public) = new_key(store.keys, "shop"), new_key(store.keys, "shop", "public")
    assert public.startswith("hr_pub_")
    assert KeyRing(store.keys, "public").authenticate(f"Bearer {public}") == "shop"
    with pytest.raises(Unauthorized, match="public key does not open"):
        KeyRing(store.keys).authenticate(f"Bearer {public}")
    with pytest.raises(Unauthorized, match="secret key does not open"):
        KeyRing(store.keys, "public").authenticate(f"Bearer {secret}")
