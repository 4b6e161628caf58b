"""Signed links that expire; they are secrets and go into no log, event or table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from asset_pipeline.ledger.records import Clip
from asset_pipeline.stores.local import LocalStore
from asset_pipeline.stores.protocol import LONGEST_LINK, Store


@dataclass(frozen=True, slots=True)
class SignedLink:
    """A link that anybody may use until it expires."""

    url: str
    expires_at: datetime


def signs_links(store: Store) -> bool:
    """Tell whether a store's links are signed: a folder's are its files' own addresses."""
    return not isinstance(store, LocalStore)


def link_to(store: Store, clip: Clip, now: datetime, ttl: timedelta = LONGEST_LINK) -> SignedLink:
    """Return a link to read a clip in a browser.

    Args:
        store: Where the clip is; one that signs links.
        clip: The clip.
        now: When the link begins to hold.
        ttl: One second to seven days.

    Raises:
        StoreError: The time is too long, or there is no key to sign with.
    """
    url = store.signed_url(clip.object_key, ttl=ttl, content_type=clip.mime)
    # Signatures count in whole seconds.
    return SignedLink(url, (now + ttl).replace(microsecond=0))


@dataclass(frozen=True, slots=True)
class StoreLinks:
    """Links to many clips of one store, which all expire together."""

    store: Store
    now: datetime

    @property
    def sample(self) -> str:
        """A link like the others."""
        return self.store.signed_url("sample")

    @property
    def expire_at(self) -> datetime:
        """When they expire."""
        return (self.now + LONGEST_LINK).replace(microsecond=0)

    def url_of(self, clip: Clip) -> str | None:
        """Return the link to a clip; None for one that lies in another store."""
        if clip.object_uri != self.store.uri(clip.object_key):
            return None
        return link_to(self.store, clip, self.now).url


def links_of(store: Store, now: datetime) -> StoreLinks | None:
    """Return the links to a store's clips; None for a store that can't sign.

    Raises:
        StoreError: It would sign, and has no key to do it with.
    """
    if not signs_links(store):
        return None
    links = StoreLinks(store, now)
    _ = links.sample
    return links
