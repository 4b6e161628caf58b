"""Deleting stored clips so that a kill leaves ledger and store consistent.

First the ledger: from that transaction on the clips don't count as stored, and nobody reuses or
records the object. Then the object. Then the ledger again: done. What a kill leaves in between is
decided and not done; the next deletion, or check of the store, finishes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from asset_pipeline.chunks import chunks
from asset_pipeline.custody.retention_plan import Doomed
from asset_pipeline.ledger.custody import CustodyRepository, Protected
from asset_pipeline.ledger.leftovers import LeftoverRepository
from asset_pipeline.ledger.provenance import ProvenanceBook
from asset_pipeline.stores.protocol import Store, StoreError

_WORKERS = 8
_A_STEP = 100


@dataclass(frozen=True, slots=True)
class Deleted:
    """What was deleted.

    Attributes:
        objects: Objects that are gone.
        bytes: Their size.
        spared: Chosen, but protected by the time they would have been deleted.
        failed: Decided, but the store did not remove them; they are tried again the next time.
        renditions: Renditions of deleted files that went with them.
    """

    objects: int = 0
    bytes: int = 0
    spared: int = 0
    failed: tuple[str, ...] = ()
    renditions: int = 0

    def plus(self, other: Deleted) -> Deleted:
        """Return both together."""
        return Deleted(
            self.objects + other.objects,
            self.bytes + other.bytes,
            self.spared + other.spared,
            self.failed + other.failed,
            self.renditions + other.renditions,
        )


@dataclass(frozen=True, slots=True)
class Deleter:
    """Deletes on behalf of one person or run.

    Attributes:
        actor: Who deletes, for the ledger.
        checkpoint: Called with a name between two steps; crash tests kill there.
    """

    store: Store
    book: CustodyRepository
    actor: str
    checkpoint: Callable[[str], None] = lambda _: None

    def finish(self) -> Deleted:
        """Finish the deletions that killed processes left."""
        return self._all(self.book.undone())

    def delete_renditions(self, leftovers: LeftoverRepository) -> Deleted:
        """Delete renditions of deleted files, objects first: after a kill it is repeated."""
        found = leftovers.leftovers()
        keys = sorted({each.object_key for each in found if not each.is_shared})
        with ThreadPoolExecutor(_WORKERS, "delete") as workers:
            gone = dict(zip(keys, workers.map(self._remove, keys), strict=True))
        done = [each for each in found if gone.get(each.object_key, each.is_shared)]
        leftovers.forget(done)
        return Deleted(renditions=len(done))

    def delete_sidecars(self, book: ProvenanceBook) -> int:
        """Delete the manifests that lay beside deleted files; return how many."""
        found = book.left_sidecars()
        gone = [each for each in found if self._remove(each.object_key)]
        book.forget(gone)
        return len(gone)

    def delete(
        self, doomed: Sequence[Doomed], protected: Protected, report: Callable[[Deleted], None]
    ) -> Deleted:
        """Delete objects, a hundred a step.

        Args:
            doomed: The objects, each with its rule.
            protected: Tells which clips are kept; asked again in the deciding transaction.
            report: Told of the totals after each step.
        """
        total = Deleted()
        for chunk in chunks(doomed, _A_STEP):
            reasons = [(each.object_key, f"retention rule: {each.rule}") for each in chunk]
            decided = self.book.decide(reasons, protected, actor=self.actor)
            self.checkpoint("decided")
            total = total.plus(self._all(decided)).plus(Deleted(spared=len(chunk) - len(decided)))
            report(total)
        return total

    def _all(self, keys: Sequence[str]) -> Deleted:
        with ThreadPoolExecutor(_WORKERS, "delete") as workers:
            gone = list(workers.map(self._remove, keys))
        self.checkpoint("removed")
        done = [key for key, is_gone in zip(keys, gone, strict=True) if is_gone]
        freed = self.book.confirm(done, actor=self.actor)
        self.checkpoint("confirmed")
        failed = [key for key, is_gone in zip(keys, gone, strict=True) if not is_gone]
        return Deleted(len(done), freed, 0, tuple(failed))

    def _remove(self, key: str) -> bool:
        try:
            self.store.delete(key)
        except StoreError:
            return False
        return True
