"""Checking that a store belongs to a ledger, before anything is decided about clips.

A disk that is not mounted, another prefix or another bucket looks like a store that lost every
clip. A ledger that vanished looks like one that never paid for any. Each would have everything paid
for again, so each is told by what the other side says: the store's marker names the ledger, and the
ledger names clips that have to be in the store.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from asset_pipeline.clock import Clock
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.ledger.identity import IdentityRepository, RecordedObject
from asset_pipeline.stores.marker import (
    OWN_FOLDER,
    StoreMarker,
    marker_key,
    new_marker,
    read_marker,
    replace_marker,
    write_marker,
)
from asset_pipeline.stores.protocol import Store, StoreRefusedError

# So many clips are looked for where a marker does not say it; half of them have to be there.
_SAMPLE = 8

_ADOPT = "`asset-pipeline store adopt`"


class WrongStoreError(AssetPipelineError):
    """Store and ledger don't belong together, as far as is known; nothing is paid."""


class OwnershipEvidence(Enum):
    """How a store and a ledger stand to each other, when nothing speaks against them."""

    MARKED = "its marker names the ledger"
    PROVED = "the ledger's clips are there, and no marker"
    NEW = "neither knows of any clip"
    MOVED = "the ledger's clips are all recorded elsewhere, and there are none here"


@dataclass(frozen=True, slots=True)
class StoreOwnership:
    """A store and the ledger that is to use it.

    Attributes:
        store: As it was opened.
        book: The ledger's own account of itself.
        provider: Whose ledger it is: each provider's has a marker of its own.
        clock: Stamps a marker.
    """

    store: Store
    book: IdentityRepository
    provider: str
    clock: Clock

    def check(self, *, claim: bool) -> str:
        """Make sure that this is the ledger's store.

        Args:
            claim: Whether the ledger is about to put clips there: a store that is nobody's gets
                its marker, and is the ledger's from now on.

        Returns:
            A note for the user; mostly empty.

        Raises:
            WrongStoreError: It can't be told, or is another ledger's.
            StoreError: The store can't be read: it says nothing, neither good nor bad.
        """
        standing = self.look()
        if standing is OwnershipEvidence.PROVED:
            self._claim()
        elif standing is not OwnershipEvidence.MARKED:
            if claim:
                self._claim()
            elif standing is OwnershipEvidence.MOVED:
                raise self._of_none(self.book.sample("", _SAMPLE))
        return self.moved if standing is OwnershipEvidence.MOVED else ""

    def look(self) -> OwnershipEvidence:
        """Tell how store and ledger stand to each other; nothing is written.

        Raises:
            WrongStoreError: They don't belong together, as far as can be told.
            StoreError: The store can't be read.
        """
        marker = read_marker(self.store, self._key)
        if marker is not None and marker.ledger_id == self._ledger_id:
            return OwnershipEvidence.MARKED
        here = self.book.sample(self._place + "/", _SAMPLE)
        recorded = here or self.book.sample("", _SAMPLE)
        if recorded and self._are_there(recorded):
            # From before markers; or a store that several ledgers put clips in.
            return OwnershipEvidence.PROVED if marker is None else OwnershipEvidence.MARKED
        if marker is not None:
            raise self._of_another(marker)
        if here:
            raise self._of_none(here)
        if recorded:
            return OwnershipEvidence.MOVED
        if not self.book.has_clips() and self._holds_unknown():
            raise self._unknown()
        return OwnershipEvidence.NEW

    @property
    def moved(self) -> str:
        """What a person should hear of when new clips go to another place than the old ones."""
        return (
            f"New clips are stored in {self._place} from now on. The clips that this ledger has "
            f"stay in {_place_of(self.book.sample('', 1)[0])}: they are not made again, and can be "
            "read there alone. If that was not meant, correct ASSET_PIPELINE_STORE_URL."
        )

    def adopt(self) -> StoreMarker:
        """Say that this is the ledger's store from now on, whatever was so before.

        Raises:
            StoreError: The store can't be written.
        """
        marker = new_marker(self._ledger_id, self.clock.now())
        replace_marker(self.store, self._key, marker)
        return marker

    @property
    def _key(self) -> str:
        return marker_key(self.provider)

    @property
    def _place(self) -> str:
        return self.store.uri("x")[:-2]

    @property
    def _ledger_id(self) -> str:
        return self.book.identity().ledger_id

    def _claim(self) -> None:
        """Write the marker where that is allowed: into a copy that nobody writes to nothing goes.

        Raises:
            WrongStoreError: Another ledger was faster.
        """
        wanted = new_marker(self._ledger_id, self.clock.now())
        try:
            there = write_marker(self.store, self._key, wanted)
        except StoreRefusedError:
            return  # before anything is paid for the store is tried, and refuses that as well
        if there.ledger_id != wanted.ledger_id:
            raise self._of_another(there)

    def _are_there(self, recorded: list[RecordedObject]) -> bool:
        found = sum(self.store.head(each.object_key) is not None for each in recorded)
        return 2 * found >= len(recorded)

    def _holds_unknown(self) -> bool:
        """Tell whether there are clips that no marker speaks of."""
        own = self.store.list(OWN_FOLDER)
        if any(each.key.endswith(".json") for each in own):
            return False
        return any(next(iter(self.store.list(f"{kind}/")), None) for kind in ("image", "audio"))

    def _of_another(self, marker: StoreMarker) -> WrongStoreError:
        if self.book.has_clips():
            return WrongStoreError(
                f"{self._place} holds the clips of another ledger ({marker.ledger_id[:8]}, since "
                f"{marker.created_at:%Y-%m-%d}), and none of this one's that were looked for. "
                "Nothing was counted as lost, and nothing was paid.",
                hint="Is ASSET_PIPELINE_STORE_URL the one that was used before? If this ledger is "
                f"to use this store from now on: {_ADOPT}.",
            )
        return WrongStoreError(
            f"{self._place} holds the clips of another ledger ({marker.ledger_id[:8]}, since "
            f"{marker.created_at:%Y-%m-%d}), and this ledger is new: it knows of no clip at all. "
            "Going on would pay again for what is stored. Nothing was paid.",
            hint="Was the ledger moved, emptied or deleted? Check ASSET_PIPELINE_LEDGER_URL and "
            "ASSET_PIPELINE_DATA_DIR, or put a backup back with `asset-pipeline ledger restore`. "
            f"If a new ledger is meant to begin here: {_ADOPT}.",
        )

    def _of_none(self, recorded: list[RecordedObject]) -> WrongStoreError:
        place = _place_of(recorded[0])
        elsewhere = "" if place == self._place else f" They were stored in {place}."
        return WrongStoreError(
            f"{self._place} does not say that it is the store of this ledger, and of "
            f"{len(recorded)} clips that were looked for most are not there. This ledger has "
            f"{self.book.count_held():,} stored clips.{elsewhere} Nothing was counted as lost, and "
            "nothing was paid.",
            hint="Is its disk mounted, and is ASSET_PIPELINE_STORE_URL the one that was used "
            f"before? If this is to be the store from now on: {_ADOPT}.",
        )

    def _unknown(self) -> WrongStoreError:
        return WrongStoreError(
            f"{self._place} holds clips, and this ledger is new: it knows of no clip at all. "
            "Going on would pay again for what is stored. Nothing was paid.",
            hint="Was the ledger moved, emptied or deleted? Check ASSET_PIPELINE_LEDGER_URL and "
            "ASSET_PIPELINE_DATA_DIR, or put a backup back with `asset-pipeline ledger restore`. "
            f"If a new ledger is meant to begin here: {_ADOPT}.",
        )


def _place_of(recorded: RecordedObject) -> str:
    return recorded.object_uri.removesuffix("/" + recorded.object_key)
