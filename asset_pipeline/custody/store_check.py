"""Comparing ledger and store both ways: every object is read and hashed.

A check goes by the keys in order and notes in the ledger how far it has come, so that a killed one
goes on where it was, on another machine too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta

from asset_pipeline.chunks import chunks
from asset_pipeline.clock import Clock
from asset_pipeline.ledger.custody_schema import FsckPhase, FsckProblem
from asset_pipeline.ledger.fsck_passes import CheckedObject, FsckFinding, FsckPass, FsckRepository
from asset_pipeline.stores.marker import OWN_FOLDER
from asset_pipeline.stores.protocol import (
    ObjectNotFoundError,
    Store,
    StoredObject,
    StoreError,
    StoreUnavailableError,
)

SET_ASIDE = "damaged/"
"""The prefix under which damaged objects are kept, once others have their keys."""

_READERS = 8
_OBJECTS_A_STEP = 256
_LISTED_A_STEP = 1000

# A delivery stores its file before it records it: what is this young may be recorded yet.
_YOUNG = timedelta(minutes=10)

Report = Callable[[FsckPass, int], None]
"""Told after each step how far the check is, and how many objects the ledger counts on."""


@dataclass(frozen=True, slots=True)
class StoreCheck:
    """A check of one store.

    Attributes:
        checkpoint: Called with a name between two durable steps; crash tests kill there.
    """

    store: Store
    book: FsckRepository
    clock: Clock
    report: Report
    checkpoint: Callable[[str], None] = lambda _: None

    def run(self, begun: FsckPass) -> FsckPass:
        """Go on with a check to its end.

        Raises:
            StoreError: The store can't be reached; the check goes on from there the next time.
        """
        total, _ = self.book.count_expected()
        at = begun
        with ThreadPoolExecutor(_READERS, "fsck") as readers:
            while at.phase is FsckPhase.CLIPS:
                step = self.book.expected(at.cursor, _OBJECTS_A_STEP)
                looked = list(readers.map(self._examine, step))
                findings = [finding for finding, _ in looked if finding is not None]
                self._refuse_silence(step, findings)
                at = replace(
                    at,
                    cursor=step[-1].object_key if step else "",
                    phase=FsckPhase.CLIPS if step else FsckPhase.EXTRAS,
                    objects=at.objects + len(step),
                    bytes=at.bytes + sum(size for _, size in looked),
                )
                self._advance(at, self._still_true(findings), total)
        for batch in chunks(self._listed(at.cursor), _LISTED_A_STEP):
            at = replace(at, cursor=batch[-1].key)
            self._advance(at, self._extras(batch), total)
        at = replace(at, phase=FsckPhase.DONE)
        self._advance(at, [], total)
        return at

    def _advance(self, at: FsckPass, findings: Iterable[FsckFinding], total: int) -> None:
        self.book.advance(at, findings)
        self.report(at, total)
        self.checkpoint(at.phase.value)

    def _examine(self, expected: CheckedObject) -> tuple[FsckFinding | None, int]:
        """Read an object; return what is wrong with it, and how many bytes there were."""
        digest, size = hashlib.sha256(), 0
        try:
            for block in self.store.read(expected.object_key):
                digest.update(block)
                size += len(block)
        except ObjectNotFoundError:
            if expected.is_lost:
                return None, 0
            is_here = expected.object_uri == self.store.uri(expected.object_key)
            problem = FsckProblem.MISSING if is_here else FsckProblem.ELSEWHERE
            return _finding(expected, problem, expected.sha256, None), 0
        except StoreUnavailableError:
            raise
        except StoreError as error:
            return _finding(expected, FsckProblem.UNREADABLE, None, error.message), 0
        return _judge(expected, digest.hexdigest(), size), size

    def _refuse_silence(
        self, step: Sequence[CheckedObject], findings: Sequence[FsckFinding]
    ) -> None:
        """Stop when no object can be read: the store is down, and the objects may be whole."""
        unread = [each for each in findings if each.problem is FsckProblem.UNREADABLE]
        if len(unread) == len(step) > 1:
            raise StoreError(
                f"None of {len(step)} objects could be read: {unread[0].found}",
                hint="Check the store and its credentials, and run it again: it goes on from here.",
            )

    def _still_true(self, findings: Sequence[FsckFinding]) -> list[FsckFinding]:
        """Leave out what was deleted while it was looked at."""
        known = self.book.known([each.object_key for each in findings], [])
        return [each for each in findings if each.object_key in known]

    def _listed(self, after: str) -> Iterator[StoredObject]:
        youngest = self.clock.now() - _YOUNG
        for each in self.store.list(""):
            is_old = each.modified is None or each.modified < youngest
            if each.key > after and is_old and not each.key.startswith((SET_ASIDE, OWN_FOLDER)):
                yield each

    def _extras(self, batch: Sequence[StoredObject]) -> list[FsckFinding]:
        known = self.book.known([each.key for each in batch], [each.uri for each in batch])
        return [
            FsckFinding(each.key, each.uri, FsckProblem.EXTRA, None, f"{each.bytes} bytes")
            for each in batch
            if each.key not in known and each.uri not in known
        ]


def _judge(expected: CheckedObject, found: str, size: int) -> FsckFinding | None:
    """Return what is wrong with an object that could be read."""
    if expected.is_lost:
        # One that is whole again is told of, so that a repair counts it in again.
        is_whole = found == expected.sha256
        return _finding(expected, FsckProblem.MISSING, found, found) if is_whole else None
    if size != expected.bytes:
        return _finding(expected, FsckProblem.SIZE, str(expected.bytes), str(size))
    if found != expected.sha256:
        return _finding(expected, FsckProblem.SHA256, expected.sha256, found)
    return None


def _finding(
    expected: CheckedObject, problem: FsckProblem, wanted: str | None, found: str | None
) -> FsckFinding:
    return FsckFinding(
        object_key=expected.object_key,
        object_uri=expected.object_uri,
        problem=problem,
        expected=wanted,
        found=found,
        clip_id=expected.clip_id,
        kind=expected.kind,
        prompt_id=expected.prompt_id,
        variant=expected.variant,
    )
