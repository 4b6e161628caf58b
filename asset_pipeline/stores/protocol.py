"""The protocol of clip stores, and their errors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Literal, Protocol

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.errors import AssetPipelineError

MAX_KEY_LENGTH = 512

# What V4 signatures allow at most, on S3 as on GCS.
LONGEST_LINK: Final = timedelta(days=7)

LinkMethod = Literal["GET", "HEAD", "PUT"]

# Letters, digits and four marks that every file system, URL and object store takes literally. No
# leading dot: that is how stores name what is not an object (yet).
_SEGMENT = r"[A-Za-z0-9_=-][A-Za-z0-9._=-]{0,199}"
_KEY = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*", re.ASCII)
_CONTENT_KEY = re.compile(
    r"(?:renditions/)?(?:image|audio)/[0-9a-f]{2}/([0-9a-f]{64})\.[a-z0-9]{1,8}", re.ASCII
)


class StoreError(AssetPipelineError):
    """The store could not do what was asked: full, not writable, unreachable, or a bad key."""


class StoreUnavailableError(StoreError):
    """The store did not answer, or asked to come back later: the same request may succeed then."""


class StoreRefusedError(StoreError):
    """The store refuses until somebody acts: no rights, no bucket or no room."""


class StoreConflictError(StoreError):
    """The key holds another object already; objects are never overwritten."""


class ObjectNotFoundError(StoreError):
    """There is no object under the key."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object in a store.

    Attributes:
        key: The key within the store.
        uri: The absolute address, as recorded in the ledger and shown to people.
        bytes: Length in bytes.
        sha256: The SHA-256 recorded when it was put, 64 hex digits; None where the store keeps
            none. It is what was stored, not what a damaged disk returns: to prove an object,
            ``read`` it and hash what comes.
        modified: When it was stored, in UTC; None straight after a put. No part of equality.
    """

    key: str
    uri: str
    bytes: int
    sha256: str | None
    modified: datetime | None = field(default=None, compare=False)


class Store(Protocol):
    """A place for objects that are written once. Methods block, and threads may share a store.

    Every method raises :class:`StoreError`, with a sentence, when the place fails or the key is
    none that :func:`check_key` takes.
    """

    def put(self, key: str, source: Path, *, sha256: str, content_type: str) -> StoredObject:
        """Store a file's content, whole or not at all, and never over another object.

        Putting an equal object again succeeds and changes nothing.

        Args:
            key: Where; for clips :func:`clip_key`.
            source: The file to store; it is left as it is.
            sha256: The content's SHA-256, checked while copying.
            content_type: MIME type, for stores that serve the object over HTTP.

        Raises:
            StoreConflictError: Another object has the key.
            StoreError: ``source`` does not have this SHA-256.
        """
        ...

    def get(self, key: str, target: Path) -> None:
        """Stream an object to a file, whole or not at all, replacing what is there.

        Raises:
            ObjectNotFoundError: There is no such object.
        """
        ...

    def read(self, key: str) -> Iterator[bytes]:
        """Yield an object's content in blocks of a MiB at the most, in order.

        Errors come with the first block, or in the middle when the store fails there.

        Raises:
            ObjectNotFoundError: There is no such object.
        """
        ...

    def head(self, key: str) -> StoredObject | None:
        """Describe an object without reading its content; None if there is none."""
        ...

    def exists(self, key: str) -> bool:
        """Tell whether there is an object under the key."""
        ...

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Yield the objects whose key starts with ``prefix``, in order of their keys."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is removed already."""
        ...

    def uri(self, key: str) -> str:
        """Return the absolute address an object has or would have under ``key``."""
        ...

    def signed_url(
        self,
        key: str,
        *,
        ttl: timedelta = LONGEST_LINK,
        method: LinkMethod = "GET",
        content_type: str | None = None,
    ) -> str:
        """Return a link that allows one method on one object for a time, to whoever has it.

        It is a secret until it expires: not for logs, events or tables. Nothing is asked of the
        store, so the object may be missing. A folder has no server that could check a signature;
        its link is the file's own address.

        Args:
            key: The object.
            ttl: From one second to seven days.
            method: The one that the link is good for.
            content_type: What the reply to a GET says it is, or what a PUT has to send.

        Raises:
            StoreError: Too long, a method that the store has no links for, or no key to sign with.
        """
        ...

    def sweep(self, before: datetime) -> int:
        """Remove what killed writers left before a time, such as parts; return how many."""
        ...


def clip_key(kind: Kind, sha256: str, extension: str) -> str:
    """Return a clip's content key: ``image/ab/ab12....webp``.

    The two hex digits keep folders small: 100,000 clips are some 400 a folder.
    """
    return f"{kind}/{sha256[:2]}/{sha256}.{extension}"


def rendition_key(kind: Kind, sha256: str, extension: str) -> str:
    """Return a rendition's content key, under a prefix of its own: it can be made again."""
    return f"renditions/{clip_key(kind, sha256, extension)}"


def sha256_in(key: str) -> str | None:
    """Return the SHA-256 that a content key names, or None for any other key."""
    match = _CONTENT_KEY.fullmatch(key)
    return match[1] if match else None


def check_link_ttl(ttl: timedelta) -> None:
    """Refuse a life of a link that no server would accept.

    Raises:
        StoreError: Shorter than a second or longer than :data:`LONGEST_LINK`.
    """
    if not timedelta(seconds=1) <= ttl <= LONGEST_LINK:
        raise StoreError(
            f"A link can't be good for {ttl}.", hint="Ask for one second to seven days."
        )


def check_key(key: str) -> None:
    """Refuse a key that might mean something else to a file system, a URL or a store.

    Raises:
        StoreError: The key is empty, too long, absolute, climbs, hides or has odd characters.
    """
    if len(key) > MAX_KEY_LENGTH or not _KEY.fullmatch(key):
        raise StoreError(
            f"{key!r:.120} is no key for a stored object.",
            hint="Keys are parts of letters, digits and _ = - . joined by slashes.",
        )
